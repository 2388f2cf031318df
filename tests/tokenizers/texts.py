"""Texts to compare tokenizers on: (family, text), the same for a seed.

What people type stands beside what programs send: prose, names and addresses in over forty
languages, prompts, emoji, references of HTML, every width and quote, control characters, combining
marks, spelled specials, random characters of every script, texts far over any model's length, and
nothing at all.
"""

import random
import unicodedata
from html.entities import html5

from faker import Faker

LOCALES = """
ar_AA bg_BG bn_BD cs_CZ da_DK de_DE el_GR en_GB en_US es_ES et_EE fa_IR fi_FI fr_FR gu_IN he_IL
hi_IN hr_HR hu_HU hy_AM id_ID it_IT ja_JP ka_GE ko_KR lt_LT lv_LV ne_NP nl_NL no_NO or_IN pl_PL
pt_BR ro_RO ru_RU sk_SK sl_SI sv_SE ta_IN th_TH tr_TR uk_UA vi_VN zh_CN zh_TW
""".split()

EMOJI = """
😀 😂 🥰 👍 👍🏽 👩‍🚀 👨‍👩‍👧‍👦 🏳️‍🌈 🇨🇳 🇺🇸 ❤️ ☺️ ✈️ 🐈‍⬛ 🧑🏿‍🦰 #️⃣ 1️⃣ 🫠 🦭 ☎ ™ © ‼ 〰 🀄 🈶 ㊗ 🏴󠁧󠁢󠁥󠁮󠁧󠁿
""".split()
SPECIALS = """
<start_of_text> <end_of_text> <|startoftext|> <|endoftext|> <START_OF_TEXT> [CLS] [SEP] [UNK]
[PAD] [MASK] [mask] ##ing ## <s> </s> <unk> <pad> <bos> <eos> <0x41> ▁ ▁the <start_of_turn>
""".split()
CONTRACTIONS = """
it's don't we're I've i'm they'll he'd 's 't 're 'S 'ſ O'Brien's rock'n'roll ''s s' '’ don’t ‘q’
""".split()
SCRIPTS = """
20-7E A0-17F 180-24F 250-2FF 300-36F 370-3FF 400-52F 531-5F4 600-6FF 700-7BF 900-DFF E00-FFF
1000-139F 13A0-18AF 1900-1CFF 1D00-1DFF 1E00-1FFF 2000-20CF 2100-23FF 2400-2BFF 2C00-2E7F
2E80-30FF 3100-33FF 3400-4DBF 4E00-9FFF A000-ABFF AC00-D7A3 F900-FAFF FB00-FDFF FE00-FEFE
FF00-FFEF 10000-10FFF 11000-12FFF 16800-18AFF 1B000-1D7FF 1E000-1EFFF 1F000-1FAFF 20000-2FA1F
""".split()
NUMBERS = "0 7 42 1,000 3.14 1st ½ Ⅳ ² ٣ 三 ১ １２ 007 -5 100%".split()
REFERENCES = "& < &lt;b&gt; cat &ampamp; &nosuch; &#; &#x; x ; &copy &AMP; &notin".split()
BASES = "a e i o A E I O S n z ß İ ı Σ ς Å ﬁ ǆ が ᄀ ᅡ ᆨ 각 م א".split()
CASED = """
ΟΔΟΣ Σ ΑΣ. ΣΑΣ’Σ İstanbul IĞDIR STRASSE Straße ẞ ǅ ﬀ Ω K Å Ⅷ Ⓐ ＦＵＬＬ ｶﾞ ﾊﾟ ﾡ １２ “” «x» ŉ ĳ ﬆ ㎏ ①
ℌ ª Ꭰ Ა 𐐀
""".split()
SHAPES = (
    "a photo of a {}|A {} on a {}.|{}, {}|{} {} {}|the {}'s {}|PHOTO: {} ({})|{}-{}_{}|{}/{} #{}|"
    '"{}" 50% {}|http://{}.com/{}?q={}|{}@{}.org|${}.99|{}…{}'
).split("|")
CONTROLS = [*map(chr, range(0x21)), "\x7f", *map(chr, range(0x80, 0xA1)), "\xad"]
CONTROLS += [*map(chr, range(0x200B, 0x2010)), *"\u2028\u2029\u202e\u2060\u2066\u206a\u3000\ufeff"]
CONTROLS += [*"\ufff9\ufffc\ufffd\U000e0001\U000e0020", "\r\n", "\x1b[31m", "\x1b[1;2", "\x1b["]
UNITS = (
    "a|aA|cat |ab1|猫|é|e\u0301|!|?!|1| |\n|😀|&amp;|'s|antidisestablish|한국|ไทย|the of ".split(
        "|"
    )
)
UNITS += ["x" * 99 + " ", "y" * 100 + " ", "z" * 101 + " ", "w" * 200 + " ", "v" * 201 + " "]
EMPTY = ["", *" \t\n\x00\u3000\u200b\ufeff\xa0\u2028", "\r\n", "\x1c\x1d", " \t"]

# Where programs are known to differ: marks, punctuation and controls that came to Unicode late
# (tokenizers' tables are of Unicode 8), and texts that ftfy takes for wrongly decoded.
DIFFER = {"young", "mojibake"}


def is_young(c):
    old, new = unicodedata.ucd_3_2_0.category(c), unicodedata.category(c)
    combining = unicodedata.combining(c) != unicodedata.ucd_3_2_0.combining(c)
    return combining or (old != new and (new in ("Mn", "Cf") or "P" in (old[0], new[0])))


def assigned(first, last, young=False):
    """The characters of a range that mean something, young marks or all others."""
    found = [chr(c) for c in range(first, last + 1) if is_young(chr(c)) == young]
    return [c for c in found if unicodedata.category(c) not in ("Cn", "Co", "Cs")]


def letters_of(script):
    first, last = script.split("-")
    return assigned(int(first, 16), int(last, 16))


def some(rng, parts, most):
    return rng.choices(parts, k=rng.randrange(1, most + 1))


def makers(locale, seed):
    fake = Faker(locale)
    fake.seed_instance(seed)
    # Not fake.address in Italian, whose towns are a set, in no fixed order.
    place = fake.street_name if locale == "it_IT" else fake.address
    return [fake.sentence, fake.name, place, fake.company, fake.word]


def speech(rng, seed):
    for n, locale in enumerate(LOCALES):
        make = makers(locale, seed + n)
        for _ in range(100):
            yield locale.partition("_")[0], rng.choice(make)()


def prompts(rng, seed):
    make = makers("en_US", seed)
    for _ in range(1000):
        text = rng.choice(SHAPES).format(*(rng.choice(make)() for _ in range(3)))
        yield "prompt", rng.choice([str, str.upper, str.title])(text)


def mixed(rng):
    """Parts in a row: (family, how many texts, parts, at most so many, what may lie between)."""
    for family, n, parts, most, between in (
        ("number", 300, NUMBERS, 7, [" ", "", "x", "-", ", "]),
        ("emoji", 500, [*EMOJI, "cat", "猫"], 8, ["", " "]),
        ("contraction", 300, CONTRACTIONS, 5, [" ", "", "\n"]),
        ("special", 400, [*SPECIALS, "cat", "a", "-", "’"], 5, [" ", "", "\t"]),
        ("control", 900, [*CONTROLS, "cat", "Dog", "é", "猫", " "], 9, [""]),
        ("case", 400, CASED, 5, [" ", "", "-", "."]),
    ):
        for _ in range(n):
            yield family, rng.choice(between).join(some(rng, parts, most))


def html(rng):
    names, codes = sorted(html5), [0, 0xD800, 0xFDD0, 0x10FFFF, 0x110000, 10**12]
    codes += [ord(c) for script in SCRIPTS for c in [*CONTROLS[:64], *letters_of(script)[:16]]]
    for _ in range(900):
        text = ""
        for name in some(rng, names, 5):
            numbers = f"&#{rng.choice(codes)};", f"&#x{rng.choice(codes):x}"
            spelled = "&" + name, "&" + name.upper(), "&amp;" + name, "&#" + name
            text += rng.choice([*numbers, *spelled, *spelled, rng.choice(REFERENCES)])
        yield "html", text


def marks(rng):
    known = assigned(0x300, 0x36F) + assigned(0x591, 0x5C7) + ["\u3099", "\u0e33", "\u094d"]
    young = [*assigned(0x300, 0x1FFFF, young=True), "\u0301", "\u0316"]
    for family, n, pool in ("mark", 700, known), ("young", 100, young):
        for _ in range(n):
            row = (
                base + "".join(rng.choices(pool, k=rng.randrange(4)))
                for base in some(rng, BASES, 6)
            )
            yield family, "".join(row)


def scripts(rng):
    everything = []
    for script in SCRIPTS:
        letters = letters_of(script)
        everything += letters
        for _ in range(40):
            words = ("".join(some(rng, letters, 9)) for _ in range(rng.randrange(1, 6)))
            yield "script", " ".join(words)
    for _ in range(500):
        yield "any", "".join(some(rng, everything, 40))


def mojibake(seed):
    for locale in ("fr_FR", "de_DE", "ru_RU", "zh_CN"):
        sentence = makers(locale, seed)[0]
        for _ in range(25):
            yield "mojibake", sentence().encode().decode("latin-1")


def long_and_empty(rng):
    for unit in UNITS:
        for n in (60, 75, 76, 77, 78, 199, 200, 201, 1000, 5000):
            yield "long", unit * min(n, 100_000 // len(unit))
        yield "long", unit * 60 + "".join(rng.choices(UNITS, k=40))
    for text in EMPTY:
        for n in (1, 2, 10):
            yield "empty", text * n


def all_texts(seed):
    rng = random.Random(seed)
    for part in (speech(rng, seed), prompts(rng, seed), mixed(rng), html(rng), marks(rng)):
        yield from part
    for part in (scripts(rng), mojibake(seed), long_and_empty(rng)):
        yield from part
