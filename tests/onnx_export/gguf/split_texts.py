"""Texts in which rules that cut text before merging differ from each other."""

TEXTS = (
    'def f(x, *args, **kw):\n    """Don\'t."""\n    return self._value[0] + 12345.678e-9  # größe\n',
    "\tif (a!=b&&c||!d){\r\n\t\treturn a->b::c<int>(x<<2)>>=1;\r\n\t}\r\n",
    "const f = async (x) => `${x}${y?.z ?? 0}`; // 100% 'quoted' \"twice\"\n\n\n",
    "fn main() { let s: &'static str = \"I'LL we've you're he's I'd'M\"; }\n",
    "SELECT * FROM t WHERE a>='2024-01-31' AND b<>1_000_000;--x\n",
    "<div class=\"a b\" data-x='1'>&nbsp;</div><!-- c -->/path/to/file.txt//\n/",
    "HTTPServer2XML parseURLs ABCdefGHI iPhone15Pro snake_case_123 kebab-case-4567",
    "1 12 123 1234 12345 123456 1234567 0x1F 1.5e+10 ½ ² Ⅻ ٣٤٥ १२३ １２３４",
    "  leading and   inner     runs \t\t tabs \u00a0no-break\u3000wide \u2003em  ",
    "\n\n   \n\t\n  x\n \r\n\r\n \r y   \n",
    "日本語のテキスト、漢字とカタカナ。中文，标点！한국어 텍스트 ㄱㄴ ㄅㄆ",
    "Ελληνικά русский Текст ÀÉÎÕÜ ǅ ß İstanbul'da ﬁ ａｂｃ ʼn ჱ ᏸ",
    "e\u0301 n\u0303o\u0302 हिन्दी বাংলা ไทย עִבְרִית العَرَبِيَّة क्षि",
    "👩\u200d👩\u200d👧 🎉🎉 ☃ ✓ → ≤ ∑ € £ © ™ … “quoted” ‘x’ —dash– «g»",
    "a'S b'T c'Re d'VE e'm f'Ll g'D h'x ''' '' it's' 's",
    "x=$y+$z^2~3|4`5`; @#%&*()[]{}!?;:,.<>/\\-_=+ $ + < > ^ ~ |",
    "word.Word.WORD ..Word (Word) [word] !word ?word #include <a.h>\n\n#if 0\n",
    "line one \nline two\t\nline three  \n   four\n        five\n",
    "x  =   1;\n    12  345    6,  789\t\t0",
    "a",
    " ",
    "\n",
    " \n a",
    "trailing spaces    ",
)
ALPHABET = "aZé\u0301日ア한ก9½ \t\n\r'sT.,;/_-+$`👍ǅ\u00a0"
"""Characters of every class that a rule tells apart."""
