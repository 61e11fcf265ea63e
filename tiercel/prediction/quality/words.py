"""Words and marks that tell what kind of task a prompt is, and how hard."""

_WORDS = {
    "asks": "what who when where which why how is are does did can",
    "summarizes": "summarize summarise summary shorten condense tldr gist",
    "translates": "translate translation french german spanish italian english latin",
    "extracts": "extract list find name table json csv rewrite copy correct",
    "codes": "code function python javascript sql bash class bug program regex rust",
    "calculates": "calculate compute solve sum percent average equation total",
    "counts": "many much each every times twice half double triple per",
    "shares": "percent fraction ratio rate remaining left rest third quarter",
    "times": "hour hours minutes day days week weeks month months year years",
    "buys": "cost costs price pay paid dollars cents sells buys earns spend",
    "writes": "write story poem essay letter email describe imagine speech",
    "explains": "explain reason because compare difference steps prove",
    "negates": "not no never except neither nor without least false incorrect",
    "supposes": "if suppose assume given let then unless",
    "compares": "more less than fewer greater most best better older younger",
    "judges": "moral wrong morally law court plaintiff defendant liable",
}
WORDS = {name: frozenset(words.split()) for name, words in _WORDS.items()}
MARKS = {
    "code": ("```", "def ", "();", "{\n", "</", "==", "=>", "import ", "SELECT ", "#include"),
    "maths": ("^", "\\frac", "√", "∑", "Z_", "f(x)", " = "),
    "quotes": ('"', "“"),
    "blanks": ("__",),
    "roman": ("I.", "II", "Statement 1"),
}
