// The page's words in two languages, by the browser's choice until somebody switches.

const words = {
  en: {
    skip: "Skip to the results", add: "Add pictures", choose: "Search by a picture",
    unpick: "Search without the picture", words: "Words to search for",
    placeholder: "Describe a picture, or drop, paste or choose one", go: "Search",
    picture: "picture", text: "words", weight: "How much the words weigh beside the picture",
    colours: "Colours", categories: "Categories", filter: "Filter",
    expression: "A filter", more: "More", dropSearch: "Search with it",
    dropAdd: "Add to the collection", close: "Close", previous: "Previous", next: "Next",
    similar: "More like this", original: "Original", remove: "Delete", keep: "Keep",
    theme: "Light or dark", other: "中文", pictureOf: "Picture {name}",
    images: "{n} pictures", image: "1 picture", none: "Nothing here yet",
    noneHint: "Drop pictures anywhere on this page, or add a folder with the program.",
    nothing: "Nothing found", nothingHint: "Try other words, or fewer filters.",
    noWord: "The model knows none of these words",
    noWordHint: "Try a simpler word, such as boat, apple or dog - or search by a picture.",
    found: "{n} best of {m}, {ms} ms", newest: "Newest first", likeThis: "Like {name}",
    searching: "Searching …", reading: "Reading the picture …",
    failed: "That did not work: {why}", badPicture: "This picture cannot be read: {why}",
    uploading: "Adding {n} of {m}", uploaded: "{n} added", known: "{n} there already", lost: "{n} failed", comma: ", ",
    duplicate: "is there already", added: "added", waiting: "waits",
    confirm: "Delete “{name}” for good?", deleted: "Deleted",
    size: "Size", format: "Format", file: "File", date: "Date", camera: "Camera",
    category: "Category", brightness: "Brightness", saturation: "Saturation", score: "Score",
    scheme: "Colours", id: "Id", of: "{a} × {b} pixels",
    warm: "warm", cool: "cool", neutral: "neutral",
    portrait: "portrait", landscape: "landscape", animal: "animal", food: "food",
    vehicle: "vehicle", building: "building", nature: "nature", abstract: "abstract",
    text_: "text", other_: "other",
  },
  zh: {
    skip: "跳到结果", add: "添加图片", choose: "以图搜图", unpick: "去掉图片",
    words: "要搜索的文字", placeholder: "描述一张图片，或拖入、粘贴、选择一张", go: "搜索",
    picture: "图片", text: "文字", weight: "文字相对图片的权重",
    colours: "色调", categories: "类别", filter: "筛选", expression: "筛选条件",
    more: "更多", dropSearch: "用它来搜索", dropAdd: "加入图库", close: "关闭",
    previous: "上一张", next: "下一张", similar: "相似图片", original: "原图",
    remove: "删除", keep: "保留", theme: "浅色或深色", other: "English",
    pictureOf: "图片 {name}", images: "共 {n} 张图片", image: "共 1 张图片", none: "图库还是空的",
    noneHint: "把图片拖到页面任意位置，或用命令行添加一个文件夹。",
    nothing: "没有找到", nothingHint: "换个说法，或减少筛选条件。",
    noWord: "模型不认识这些词", noWordHint: "换个更简单的词，例如船、苹果、狗，或者以图搜图。",
    found: "{m} 张中最接近的 {n} 张，用时 {ms} 毫秒", newest: "最新的在前",
    likeThis: "与 {name} 相似", searching: "搜索中…", reading: "正在读取图片…",
    failed: "没有成功：{why}", badPicture: "无法读取这张图片：{why}",
    uploading: "正在添加 {n} / {m}", uploaded: "已添加 {n} 张",
    known: "{n} 张已经存在", lost: "{n} 张失败", comma: "，", duplicate: "已经存在", added: "已添加",
    waiting: "等待中", confirm: "永久删除“{name}”？", deleted: "已删除",
    size: "尺寸", format: "格式", file: "文件", date: "日期", camera: "相机", category: "类别",
    brightness: "亮度", saturation: "饱和度", score: "得分", scheme: "色调", id: "编号",
    of: "{a} × {b} 像素", warm: "暖色", cool: "冷色", neutral: "中性",
    portrait: "人像", landscape: "风景", animal: "动物", food: "食物", vehicle: "交通工具",
    building: "建筑", nature: "自然", abstract: "抽象", text_: "文字", other_: "其他",
    error_format: "不是可识别的图片", error_unsupported: "不支持这种图片格式",
    error_truncated: "图片不完整", error_corrupt: "图片已损坏", error_limit: "图片太大",
    error_busy: "服务器繁忙，请稍后再试", error_network: "无法连接服务器",
    error_disk_full: "磁盘空间不足", error_not_found: "图片已不存在",
  },
};

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage can be switched off; the choice then lasts as long as the page.
  }
}

function preferred() {
  const kept = stored("language");
  if (kept in words)
    return kept;
  const first = (navigator.languages || [navigator.language])
    .map((l) => l.toLowerCase().slice(0, 2)).find((l) => l in words);
  return first || "en";
}

let language = preferred();

export const locale = () => (language === "zh" ? "zh-CN" : "en");

export function t(key, values = {}) {
  const text = words[language][key] ?? words.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// A label of the model or of the server: translated when it is a known one, else as it is.
export function label(name) {
  const key = name === "text" || name === "other" ? `${name}_` : name;
  return words[language][key] ?? name;
}

// An API error in the page's language where it has a sentence for it, else the server's own.
export function explain(error) {
  return words[language][`error_${error.code}`] ?? error.message;
}

export function apply(root = document) {
  document.documentElement.lang = locale();
  for (const e of root.querySelectorAll("[data-t]"))
    e.textContent = t(e.dataset.t);
  for (const e of root.querySelectorAll("[data-t-label]")) {
    e.setAttribute("aria-label", t(e.dataset.tLabel));
    if (e.tagName === "BUTTON")
      e.title = t(e.dataset.tLabel);
  }
  for (const e of root.querySelectorAll("[data-t-placeholder]"))
    e.placeholder = t(e.dataset.tPlaceholder);
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  store("language", language);
  apply();
}
