"""Labels that command something wherever they are written as they are."""

SHOWN = (
    "<script>document.title='x'</script>", '"><img src=x onerror=alert(1)>', "a|b|c", "\\|pipe\\", "&lt;b&gt; &amp;",
    "\\input{/etc/passwd} $x^2$ %n & #1 ~{}", "5 $", "$\\frac{$", "\\$1", "dpo [/x] y", "[link=a]x[/link] :heart:",
    "[click](javascript:alert(1))", "![a](http://b.c)", "[1] starts a row", "* starts a row", "_a_ **b** ~~c~~ a__b",
    "=cmd|' /C calc'!A0", "{{7*7}} {% raw %} <!-- --> ]]>", "`id`", "../../x", "مرحبا\u200f 👩\u200d🚀",
)  # fmt: skip
"""A matrix may have these: tables, plots and pages show them as they are."""
REFUSED = {
    "\x1b[31mRED\x1b[0m \x1b]0;owned\x07": "U+001B (a control character)",
    "abc\u202etxt.exe\u202c": "U+202E (right-to-left override)",
    "a\u2066b": "U+2066 (left-to-right isolate)",
    "line1\nline2": "U+000A (a control character)",
    "x\x00y": "U+0000 (a control character)",
    "\rCR": "U+000D (a control character)",
    "a\u2028b": "U+2028 (line separator)",
    "c\x9b31m": "U+009B (a control character)",
    "half \ud83d": "U+D83D",
    "no \ufffe": "U+FFFE",
}
"""A matrix may not; an earlier release let them in, and runs of others hold them. By the character that is named."""
RECORDED = (*SHOWN, *(label for label in REFUSED if "\ud83d" not in label))
"""Labels that a run may hold, an earlier one included."""
COMMANDS = "\x00\x07\x08\r\x0b\x0c\x1b\x7f\x85\x9b\u2028\u2029\u202a\u202e\u202c\u2066\u2069\ufffe"
"""What no output may hold."""
