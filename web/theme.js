// Not a module: it runs before the first paint, so that a dark page does not flash white.
{
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // Storage can be switched off; the system's choice then holds.
  }
  if (theme === "light" || theme === "dark")
    document.documentElement.dataset.theme = theme;
}
