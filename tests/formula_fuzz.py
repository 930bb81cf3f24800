"Workbooks of random formulas, and the engines that say what they give"
import random, re, shutil, subprocess, tempfile, zipfile
from html import escape
from pathlib import Path
from typing import NamedTuple
from hypothesis import strategies as st
from ddl_lesson8.sheets.formulas import Call, Chain, Number, Ref, Text, Unary, parse_formula, rebuild, unparse
from ddl_lesson8.sheets.address import Area, cell_name, parse_area, quote_sheet
from ddl_lesson8.sheets.xlsx import ErrorValue, read_xlsx

M = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
R = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
P = 'http://schemas.openxmlformats.org/package/2006/relationships'
NEW = ['IFS', 'IFNA', 'NORM.DIST', 'NORM.INV', 'NORM.S.INV', 'STDEV.S', 'STDEV.P', 'VAR.S', 'VAR.P', 'RANK.EQ', 'XLOOKUP', 'XMATCH', 'SINGLE']
_NEW = re.compile(r'"(?:[^"]|"")*"|(?<![\w.])(' + '|'.join(re.escape(n) for n in NEW) + r')(?=\()')


class F(NamedTuple):
    "A formula in a cell"
    text: str
    array: str|None = None # range of an array formula


def stored(text): # as Excel stores a formula: new functions have a prefix, and @ is one of them
    text = re.sub(r'@([A-Z]+\d+:[A-Z]+\d+)', r'SINGLE(\1)', text)
    return _NEW.sub(lambda m: '_xlfn.' + m[0] if m[1] else m[0], text)


def _cell(at, v, saved):
    r = cell_name(*at)
    if isinstance(v, F):
        a = f' t="array" ref="{v.array}"' if v.array else ''
        return f'<c r="{r}"><f{a}>{escape(stored(v.text), False)}</f>{saved}</c>'
    if isinstance(v, bool): return f'<c r="{r}" t="b"><v>{int(v)}</v></c>'
    if isinstance(v, ErrorValue): return f'<c r="{r}" t="e"><v>{v}</v></c>'
    if isinstance(v, str): return f'<c r="{r}" t="inlineStr"><is><t xml:space="preserve">{escape(v, False)}</t></is></c>'
    return f'<c r="{r}"><v>{v!r}</v></c>'


def write(path, sheets, names=(), saved='<v>0</v>'):
    "Write a workbook from {sheet: {(row, column): content}} and [(name, sheet or None, text)]; LibreOffice recalculates only what has no `saved` result"
    titles = list(sheets)
    listed = ''.join(f'<sheet name="{escape(t)}" sheetId="{k}" r:id="r{k}"/>' for k, t in enumerate(titles, 1))
    local = lambda s: '' if s is None else f' localSheetId="{titles.index(s)}"'
    defined = ''.join(f'<definedName name="{n}"{local(s)}>{escape(t, False)}</definedName>' for n, s, t in names)
    rel = lambda k, kind, target: f'<Relationship Id="{k}" Type="{R}/{kind}" Target="{target}"/>'
    rels = lambda body: f'<?xml version="1.0"?><Relationships xmlns="{P}">{body}</Relationships>'
    kind = 'application/vnd.openxmlformats-officedocument.spreadsheetml.'
    over = ''.join(f'<Override PartName="/xl/worksheets/sheet{k}.xml" ContentType="{kind}worksheet+xml"/>' for k, _ in enumerate(titles, 1))
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        z.writestr('[Content_Types].xml', '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>'
                   f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}sheet.main+xml"/>'
                   f'<Override PartName="/xl/styles.xml" ContentType="{kind}styles+xml"/>{over}</Types>')
        z.writestr('_rels/.rels', rels(rel('a', 'officeDocument', 'xl/workbook.xml')))
        z.writestr('xl/workbook.xml', f'<?xml version="1.0"?><workbook xmlns="{M}" xmlns:r="{R}"><sheets>{listed}</sheets>{"<definedNames>" + defined + "</definedNames>" if defined else ""}</workbook>')
        z.writestr('xl/_rels/workbook.xml.rels', rels(''.join(rel(f'r{k}', 'worksheet', f'worksheets/sheet{k}.xml') for k, _ in enumerate(titles, 1)) + rel('st', 'styles', 'styles.xml')))
        z.writestr('xl/styles.xml', f'<?xml version="1.0"?><styleSheet xmlns="{M}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
                   '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
                   '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>')
        for k, cells in enumerate(sheets.values(), 1):
            rows = {}
            for at in sorted(cells):
                if cells[at] is not None: rows.setdefault(at[0], []).append(_cell(at, cells[at], saved))
            body = ''.join(f'<row r="{r}">{"".join(x)}</row>' for r, x in rows.items())
            z.writestr(f'xl/worksheets/sheet{k}.xml', f'<?xml version="1.0"?><worksheet xmlns="{M}"><sheetData>{body}</sheetData></worksheet>')
    return Path(path)


def block(cells): # {'A1': rows} -> {(row, column): content}
    out = {}
    for at, rows in cells.items():
        a = parse_area(at)
        out |= {(a.top + i, a.left + j): v for i, row in enumerate(rows) for j, v in enumerate(row)}
    return out


HOME = 20, 8 # H20, where the formula of a case stands

def write_cases(path, cases, **kwargs):
    "One sheet for each case, its formula in H20"
    sheets, names = {}, []
    for k, c in enumerate(cases):
        s = f'case{k}x'
        text = c.formula.replace('{sheet}', s)
        sheets[s] = {**block(c.cells), HOME: F(text.removeprefix('{'), cell_name(*HOME) if text.startswith('{') else None)}
        names += [(n, s, t.replace('{sheet}', s)) for n, t in c.names.items()]
    return write(path, sheets, names, **kwargs)


# engines: each gives {(sheet, row, column): value} of the cells asked for

def from_ironcalc(path, places):
    import ironcalc
    m = ironcalc.load_from_xlsx(str(path), 'en', 'UTC', 'en')
    index = {s['name']: i for i, s in enumerate(m.get_worksheets_properties())}
    m.evaluate()
    def one(sheet, r, c):
        v = m.get_cell_value(index[sheet], r, c)
        if v is None or isinstance(v, (bool, float)): return v
        if isinstance(v, int): return float(v)
        return ErrorValue(v) if 'Error' in str(m.get_cell_type(index[sheet], r, c)) else v
    return {p: one(*p) for p in places}


SOFFICE = shutil.which('soffice') or shutil.which('libreoffice')

def convert(path, folder):
    "Recalculate a workbook with LibreOffice; the copy that it writes"
    with tempfile.TemporaryDirectory() as profile:
        hard = 'xlsx:Calc MS Excel 2007 XML'
        subprocess.run([SOFFICE, f'-env:UserInstallation=file://{profile}', '--headless', '--convert-to', hard, '--outdir', str(folder), str(path)],
                       check=True, capture_output=True, timeout=180)
    return Path(folder)/Path(path).name

def from_libreoffice(path, places):
    with tempfile.TemporaryDirectory() as folder: file = read_xlsx(convert(path, folder))
    return {(s, r, c): file.sheets[s].cells[r, c].value if (r, c) in file.sheets[s].cells else None for s, r, c in places}


_NUMBER = re.compile(r'-?\d+\.?\d*(?:E[+-]?\d+)?')

def plain(text): # numbers inside a text to 12 digits: ironcalc writes up to 17 of them where Excel writes 15, and -0
    if type(text) is not str: return text
    if not _NUMBER.fullmatch(text): text = re.sub(r'(\.\d{11})\d+', r'\1', text) # two numbers side by side, as in -4.251.04166666666667
    return _NUMBER.sub(lambda m: f'{float(m[0]) + 0.:.12g}', text)


def written(tree, row, col): # a tree as the formula of a cell, with every reference absolute
    w = lambda t: written(t, row, col)
    if isinstance(tree, Ref):
        t, l, b, r = tree.at(row, col)
        sheet = quote_sheet(tree.sheet) + '!' if tree.sheet else ''
        return sheet + cell_name(t, l) + (f':{cell_name(b, r)}' if (t, l) != (b, r) else '')
    if isinstance(tree, Call): return f"{tree.name}({','.join(map(w, tree.args))})"
    if isinstance(tree, Unary): return f'SINGLE({w(tree.arg)})' if tree.op == '@' else f'({w(tree.arg)}%)' if tree.op == '%' else f'({tree.op}{w(tree.arg)})'
    if isinstance(tree, Chain): return '(' + ''.join(o + w(t) for o, t in zip(('',) + tree.ops, tree.terms)) + ')'
    return unparse(tree)

def on_sheet(node, sheet): # with the name of its sheet
    return Ref(sheet, node.top, node.left, node.bottom, node.right, node.relative) if isinstance(node, Ref) and not node.sheet else node

def fixed(sheets, spots, fixes):
    "Copies of the sheets in which some formulas are written such that the bugs of an engine play no part"
    out = {s: dict(cells) for s, cells in sheets.items()}
    for s, r, c in spots:
        tree = rebuild(parse_formula(sheets[s][r, c].text, r, c), lambda n: on_sheet(n, s))
        for fix in fixes: tree = rebuild(tree, fix)
        out[s][r, c] = sheets[s][r, c]._replace(text=written(tree, r, c))
    return out


# What ironcalc does wrong, each as a function of a node that writes it otherwise: the meaning is the same, the bug has no part in it.
# Microsoft's pages are at support.microsoft.com/office.

def call(name, *args): return Call(name, args)

def look_at_all(node): # AND and OR stop at the first answer there. "If any argument is an error value, AND returns that" (and-function)
    if not isinstance(node, Call) or node.name not in ('AND', 'OR'): return node
    for a in reversed(node.args): node = call('IF', call('ISERROR', a), a, node)
    return node

LOOKUPS = 'MATCH', 'XMATCH', 'VLOOKUP', 'HLOOKUP', 'LOOKUP', 'XLOOKUP'

def picked(node): # a lookup finds nothing that CHOOSE took from a cell. "CHOOSE returns a value or a reference" (choose-function)
    def pick(n): return n.args[int(n.args[0].value)] if isinstance(n, Call) and n.name == 'CHOOSE' and isinstance(n.args[0], Number) else n
    return Call(node.name, (rebuild(node.args[0], pick), *node.args[1:])) if isinstance(node, Call) and node.name in LOOKUPS else node

def blank_is_zero(node): # MATCH does not find 0 for a blank there, but VLOOKUP does; both do in Excel (Apache POI's LookupUtils, tested against it)
    if not isinstance(node, Call) or node.name not in LOOKUPS or node.name[0] == 'X': return node
    return Call(node.name, (call('IF', call('ISBLANK', node.args[0]), Number(0.), node.args[0]), *node.args[1:]))

def no_minus_zero(node): # -0 keeps its sign as a text. "Excel does not support signed zeros" (troubleshoot/excel/floating-point-arithmetic)
    if not isinstance(node, Chain) or node.ops[0] != '&': return node
    return Chain(node.ops, tuple(call('IF', call('ISNUMBER', t), Chain(('+',), (t, Number(0.))), t) for t in node.terms))

def in_order(node): # texts are ordered by their codes. "Apostrophes and hyphens are ignored", and signs come between digits and letters (sort-data-in-a-range-or-table)
    if not isinstance(node, Chain) or not set(node.ops) & {'<', '>', '<=', '>='}: return node
    def bare(t): # with other signs, whose codes lie between those of digits and letters
        for sign, other in {'-': '', "'": '', ' ': ':', '"': ';', '.': '<', '+': '='}.items(): t = call('SUBSTITUTE', t, Text(sign), Text(other))
        return t
    return Chain(node.ops, tuple(call('IF', call('ISTEXT', t), bare(t), t) for t in node.terms))

IRONCALC_FIXES = look_at_all, picked, blank_is_zero, no_minus_zero, in_order
IRONCALC_BUGS = [ # formula, what Excel gives, cells: one for each of them
    ('AND(FALSE,1/0)', ErrorValue('#DIV/0!'), {}), ('OR(TRUE,A1)', ErrorValue('#N/A'), {'A1': [[ErrorValue('#N/A')]]}),
    ('MATCH(CHOOSE(1,A2,"a"),A1:A3,0)', 2, {'A1': [['a'], ['b'], ['c']]}), ('XMATCH(CHOOSE(2,7,A2)+0,A1:A3,0)', 2, {'A1': [[4], [5], [6]]}),
    ('MATCH(B1,A1:A2,0)', 2, {'A1': [[3], [0]]}), ('MATCH(B1,{-1,0,3})', 2, {}),
    ('-A1&"1"', '01', {}), ('ROUND(-0.25,0)&""', '0', {}),
    ('"-2"&"b">"2a"', True, {}), ('"1.5"<"12"', False, {}), ('"a b"<"a5"', False, {}), ('A1<"1"', False, {'A1': [['-2']]})]


# What LibreOffice does otherwise, in the same way. Truth values are numbers there: `&` writes 1 for TRUE, SUM adds it, 5 is more than TRUE.
# RANK ranks a number that is not in the list. A blank that is looked for finds blanks. The text "3" is true.

def logical(t): return call('ISLOGICAL', t)

def truth_as_text(node): # "TRUE joins as TRUE" (the page on operators and precedence)
    if not isinstance(node, Chain) or node.ops[0] != '&': return node
    return Chain(node.ops, tuple(call('IF', logical(t), call('IF', t, Text('TRUE'), Text('FALSE')), t) for t in node.terms))

def truth_is_largest(node): # "FALSE and TRUE come after texts" (sort-data-in-a-range-or-table)
    if not isinstance(node, Chain) or len(node.terms) != 2 or node.ops[0] not in ('=', '<>', '<', '>', '<=', '>='): return node
    a, b = node.terms
    fault, blank = (call('OR', call(f, a), call(f, b)) for f in ('ISERROR', 'ISBLANK'))
    alike = Chain(('=',), (logical(a), logical(b)))
    return call('IF', call('OR', fault, blank, alike), node, Chain(node.ops, (call('N', logical(a)), call('N', logical(b)))))

NUMERIC = 'SUM', 'SUMSQ', 'SUMPRODUCT', 'COUNT', 'MAX', 'MIN', 'AVERAGE', 'MEDIAN', 'LARGE', 'SMALL', 'COUNTIF', 'SUMIF', 'AVERAGEIF'
PLAIN = ' plain' # a sheet with the same data, without truth values

def on_copy(ref): return Ref(ref.sheet + PLAIN, ref.top, ref.left, ref.bottom, ref.right, ref.relative)

def without_truth(node): # "truth values in a reference are ignored" (sum-function, count-function, max-function)
    if not isinstance(node, Call) or node.name not in NUMERIC: return node
    def one(i, a): return on_copy(a) if isinstance(a, Ref) and a.sheet and (i == 0 or 'IF' not in node.name or i == 2) else a
    return Call(node.name, tuple(one(i, a) for i, a in enumerate(node.args)))

def only_listed(node): # RANK gives "the rank of a number in a list of numbers" (rank-function)
    if not isinstance(node, Call) or node.name != 'RANK': return node
    return call('IF', Chain(('=',), (call('COUNTIF', node.args[1], node.args[0]), Number(0.))), call('NA'), node)

def no_number_as_truth(node): # a text such as "3" is no condition in Excel, and "TRUE" is one (Apache POI's LookupUtils says so too)
    if not isinstance(node, Call) or node.name != 'IF': return node
    test = node.args[0]
    fault = call('ISERROR', Chain(('+',), (test, Number(0.))))
    return call('IF', call('ISTEXT', test), call('IF', fault, node, Unary('-', Text('x'))), node)

LIBREOFFICE_FIXES = no_number_as_truth, blank_is_zero, truth_as_text, truth_is_largest, without_truth, only_listed

def for_libreoffice(sheets):
    "It loses empty texts (so a formula gives them), has no XLOOKUP before 24.8 (so they go), and gets the copies of the data that fixes want"
    out = {}
    for name, cells in sheets.items():
        keep = lambda v: 1. if isinstance(v, F) and re.search('XLOOKUP|XMATCH', v.text) else F('""') if type(v) is str and v == '' else v
        out[name] = {at: keep(v) for at, v in cells.items()}
        out[name + PLAIN] = {at: None if isinstance(v, bool) else v for at, v in out[name].items() if at[1] != COL}
    return out

def alike(a, b, digits):
    "As `same`, for LibreOffice: a truth value is a number, and there are other kinds of errors, of which most are written as #VALUE!"
    if isinstance(a, ErrorValue) or isinstance(b, ErrorValue): return isinstance(a, ErrorValue) and isinstance(b, ErrorValue)
    a, b = (float(v) if isinstance(v, bool) else v for v in (a, b))
    return same(a, b, digits)


def same(a, b, digits=1e-12):
    "Do two engines say the same? Numbers to `digits`, relative; None counts as zero or empty"
    if isinstance(a, ErrorValue) or isinstance(b, ErrorValue): return isinstance(a, ErrorValue) and isinstance(b, ErrorValue) and str(a) == str(b)
    if isinstance(a, bool) or isinstance(b, bool): return a is b
    if a is None or b is None: return (a in (None, '', 0)) and (b in (None, '', 0))
    if isinstance(a, str) or isinstance(b, str): return type(a) is type(b) and a == b
    return abs(a - b) <= digits * max(abs(a), abs(b), 1e-3)


# random workbooks: a block of data, twice, and formulas below each other that refer to it and to the formulas above them

ROWS, DATA, OTHER, COL = 6, 'data', 'other data', 8 # data in A1:E6 of both sheets; formulas in column H of the first
WORDS = 'a', 'B', 'b', 'ab', 'Abc', 'x y', '7', '-2.5', 'TRUE', ''


class Dice:
    "Chance from a seed: fast"
    def __init__(self, seed): self.random = random.Random(seed)
    def pick(self, *options): return self.random.choice(options)
    def int(self, a, b): return self.random.randint(a, b)


class Drawn(Dice):
    "Chance from hypothesis: slower, and failing examples become small"
    def __init__(self, draw): self.draw = draw
    def pick(self, *options): return self.draw(st.sampled_from(options))
    def int(self, a, b): return self.draw(st.integers(a, b))


def content(dice, col): # of a cell of data
    number = lambda: dice.pick(dice.int(-9, 9), dice.int(-40, 40) / 4)
    kind = dice.pick(*{'A': 'n', 'B': 'nnn-', 'C': 'tttt-', 'E': 'bbb-', 'D': 'nntb-e'}[col])
    return {'n': number, 't': lambda: dice.pick(*WORDS), 'b': lambda: dice.pick(True, False), 'e': lambda: ErrorValue(dice.pick('#N/A', '#DIV/0!', '#VALUE!')), '-': lambda: None}[kind]()

def data(dice): return {(r, 1 + 'ABCDE'.index(c)): content(dice, c) for c in 'ABCDE' for r in range(1, ROWS + 1)}


class Pen:
    "Writes random formulas; `at` is the row, `above` the kinds of the formulas over it"
    def __init__(self, dice, above): self.dice, self.above, self.pick, self.int = dice, above, dice.pick, dice.int
    def sheet(self): return self.pick('', '', "'other data'!")
    def cell(self, cols): return f"{self.sheet()}{self.pick('', '$')}{self.pick(*cols)}{self.pick('', '$')}{self.int(1, ROWS)}"
    def upper(self, kind, other): # a formula above, of a kind
        rows = [r for r, k in enumerate(self.above, 1) if k == kind]
        return f'H{self.pick(*rows)}' if rows and self.int(0, 2) else other()
    def column(self, cols='AB'): # a whole column of the data
        c = self.pick(*cols)
        return self.sheet() + self.pick(f'{c}1:{c}{ROWS}', f'${c}$1:${c}${ROWS}')
    def area(self, cols='AB'):
        a, b = sorted((self.pick(*cols), self.pick(*cols)))
        r, q = sorted((self.int(1, ROWS), self.int(1, ROWS)))
        return f'{self.sheet()}{a}{r}:{b}{q}'

    def exact(self, depth): # numbers without rounding
        if depth == 0: return self.pick(str(self.int(0, 12)), f'{self.int(-20, 20) / 4:g}', self.cell('AB'), self.cell('AB'), self.upper('exact', lambda: self.cell('AB')))
        e, b, t = (lambda: self.exact(depth - 1)), (lambda: self.truth(depth - 1)), (lambda: self.text(depth - 1))
        n, area, col, v = self.int(0, 60), self.area, self.column, (lambda: self.pick(self.cell('AB'), '2.5', f'({e()}*1)'))
        if n < 4: return f"({e()}{self.pick('+', '-', '*')}{e()})"
        if n < 30:
            return [lambda: f'-{e()}', lambda: f'ABS({e()})', lambda: f'INT({e()})', lambda: f'SIGN({e()})', lambda: f"ROUND({e()},{self.int(-1, 1)})", lambda: f"ROUNDUP({e()},{self.int(-1, 1)})",
                    lambda: f"ROUNDDOWN({e()},{self.int(-1, 1)})", lambda: f"MOD({e()},{self.pick(3, -2, 2.5, 7)})", lambda: f'SUM({area()},{v()})', lambda: f"SUM({area('ABCDE')})", lambda: f"MAX({area('ABC')},{v()})",
                    lambda: f'MIN({area()})', lambda: f"COUNT({area('ABCDE')})", lambda: f"COUNTA({area('ABCDE')},{v()})", lambda: f"COUNTBLANK({area('ABCDE')})", lambda: f'SUMPRODUCT({col()},{col()})', lambda: f'SUMSQ({area()})',
                    lambda: f"{self.pick('SUMXMY2', 'SUMX2MY2', 'SUMX2PY2')}({self.pair()})", lambda: f"{self.pick('LARGE', 'SMALL')}({area()},{self.int(1, 4)})", lambda: f'MEDIAN({area()},{v()})',
                    lambda: f"INDEX({self.sheet()}A1:B{ROWS},{self.int(1, ROWS)},{self.int(1, 2)})", lambda: f'SUM(INDEX({self.sheet()}A1:B{ROWS},0,{self.int(1, 2)}))', lambda: f"CHOOSE({self.int(1, 3)},{e()},{e()},{e()})",
                    lambda: f"{self.pick('ROW', 'COLUMN')}({self.cell('ABCDE')})", lambda: f"{self.pick('ROWS', 'COLUMNS')}({area('ABCDE')})", lambda: f"SUM(OFFSET({self.cell('A')},{self.int(0, 1)},{self.int(0, 1)},{self.int(1, 3)},{self.int(1, 2)}))"][n - 4]()
        return [lambda: f"SUMIF({col()},{self.criterion()})", lambda: f"SUMIF({col('ABC')},{self.criterion()},{col('A')})", lambda: f"COUNTIF({col('ABCE')},{self.criterion()})", lambda: f'SUMIFS({col("A")},{col()},{self.criterion()},{col("C")},{self.pattern()})',
                lambda: f'COUNTIFS({col()},{self.criterion()},{col()},{self.criterion()})', lambda: f'IF({b()},{e()},{e()})', lambda: f'IFERROR({e()}/{e()},{e()})', lambda: f"IFNA(MATCH(({e()}+0),{col('A')},0),{e()})", lambda: f'IFS({b()},{e()},TRUE,{e()})',
                lambda: f"IFERROR(RANK({self.cell('A')},{col('A')},{self.int(0, 1)}),0)", lambda: f"MATCH({t()},{col('C')},0)", lambda: f"VLOOKUP({self.cell('A')},{self.sheet()}A1:E{ROWS},{self.int(1, 2)},FALSE)", lambda: f"XLOOKUP({self.cell('A')},A1:A{ROWS},B1:B{ROWS},{e()})",
                lambda: f"XMATCH(({e()}+0),{col('A')},{self.pick(0, 0, 1, -1)})", lambda: f'SUMPRODUCT(({col()}>{e()})*({col()}<>{e()}))', lambda: f'SUMPRODUCT(--({col()}={e()}),{col("A")})',
                # in order, and whole columns
                lambda: f"MATCH({e()},{{-6,-2,0,1.5,4,9}}{self.pick('', ',1')})", lambda: f'MATCH({e()},{{9;4;1.5;0;-2;-6}},-1)', lambda: f'LOOKUP({e()},{{-6,0,3,8}},{{1,2,3,4}})', lambda: f"VLOOKUP({e()},{{-9,10;-2,20;0,30;5,40}},2{self.pick('', ',TRUE')})",
                lambda: f'HLOOKUP({e()},{{-9,-2,0,5;1,2,3,4}},{self.int(1, 3)})', lambda: f"XLOOKUP(({e()}+0),A1:A{ROWS},B1:B{ROWS},{e()},{self.pick(-1, 0, 1)},{self.pick(1, -1)})", lambda: f'XLOOKUP({self.pattern()}&"",{col("C")},{col("A")},{e()},2)', lambda: f"MATCH({self.word()},{col('C')},0)",
                lambda: f'SUM({self.whole("ABCD")},{v()})', lambda: f'COUNTIF({self.whole("ABC")},{self.criterion()})', lambda: f"SUMIF({self.whole('A')},{self.criterion()})", lambda: f"MATCH({e()},{self.whole('A')},0)", lambda: f"INDEX({self.whole('AB')},{self.int(1, ROWS)})",
                lambda: f"SUM(INDEX({self.sheet()}A1:B{ROWS},{self.int(1, ROWS)},0))", lambda: f"AVERAGEIFS({col('A')},{col('B')},{self.criterion()},{col('C')},{self.pattern()})"][n - 30]()
    def whole(self, cols): c = self.pick(*cols); return f'{self.sheet()}{c}:{c}'
    def word(self): return self.pick('"a"', '"AB"', '"b"', '"*c"')
    def pair(self): s, k = self.sheet(), self.int(2, ROWS - 1); return f'{s}A1:A{k},{s}A{ROWS - k + 1}:A{ROWS}' # on one sheet and without blanks, or ironcalc is wrong
    def criterion(self): return self.pick(f'"{self.pick(">", "<", ">=", "<=", "=")}{self.int(-9, 9)}"', self.cell('A'), f'{self.int(-5, 5)}', f'">"&{self.cell("A")}', f'"{self.int(-5, 5)}"')
    def pattern(self): return self.pick('"a*"', '"?"', '"b"', '"*b*"', self.cell('C'), '"*"')

    def rough(self, depth): # numbers that engines may round differently
        if depth == 0: return self.upper('rough', lambda: self.exact(0))
        r, e = (lambda: self.rough(depth - 1)), (lambda: self.exact(depth - 1))
        return self.pick(*[lambda: f"({r()}{self.pick('+', '-', '*', '/')}{r()})", lambda: f'{e()}/{e()}', lambda: f'SQRT({e()})', lambda: f'EXP({e()}/32)', lambda: f"{self.pick('LN', 'LOG', 'LOG10')}({e()})", lambda: f"LOG({e()},{self.pick(2, 3, 0.5)})",
                           lambda: f"{self.pick('TANH', 'SIN', 'COS')}({self.cell('AB')})", lambda: f'TANH({r()})', lambda: f'POWER(ABS({e()}),{self.pick(0.5, 1.5, -1)})', lambda: f'({e()}^{self.pick(2, 3, -1)})', lambda: f"AVERAGE({self.area('ABC')},({e()}+0))", lambda: f"{self.cell('AB')}%", lambda: f'PI()*{r()}',
                           lambda: f"{self.pick('STDEV', 'STDEV.S', 'STDEV.P', 'STDEVP', 'VAR', 'VAR.S', 'VAR.P', 'VARP')}({self.area()})", lambda: f'CORREL({self.pair()})', lambda: f"AVERAGEIF({self.column()},{self.criterion()})", lambda: f'NORM.DIST({e()},{e()},{self.pick(0.5, 2, 8)},{self.pick("TRUE", "FALSE")})',
                           lambda: f"NORM.INV({self.pick(0.1, 0.5, 0.99)},{e()},{self.pick(0.5, 2)})", lambda: f'NORM.S.INV({self.pick(0.001, 0.3, 0.975)})', lambda: f'IF({self.truth(depth - 1)},{r()},{r()})', lambda: f'IFERROR({r()},{e()})', lambda: f'SUM(({r()}/2),{self.area()})'])()

    def truth(self, depth):
        if depth == 0: return self.pick('TRUE', 'FALSE', self.cell('E'), self.upper('truth', lambda: self.cell('E')))
        e, b, t = (lambda: self.exact(depth - 1)), (lambda: self.truth(depth - 1)), (lambda: self.text(depth - 1))
        op = lambda: self.pick('=', '<>', '<', '>', '<=', '>=')
        return self.pick(lambda: f'({e()}{op()}{e()})', lambda: f'({e()}{op()}{e()})', lambda: f'AND({b()},IFERROR({e()},0)>0)', lambda: f'OR({b()},{b()})', lambda: f'NOT({b()})', lambda: f'({t()}{op()}{t()})', lambda: f"({self.cell('ABCE')}{op()}{self.cell('ABCE')})")()

    def text(self, depth):
        if depth == 0: return self.pick('"a"', '"Ab"', '"x ""y"""', '""', self.cell('C'), self.upper('text', lambda: self.cell('C')))
        t, e = (lambda: self.text(depth - 1)), (lambda: self.exact(depth - 1))
        return self.pick(lambda: f'{t()}&{t()}', lambda: f'{e()}&{t()}', lambda: f'IF({self.truth(depth - 1)},{t()},{t()})', lambda: f"INDEX({self.column('C')},{self.int(1, ROWS)})", lambda: f"VLOOKUP({self.cell('A')},{self.sheet()}A1:C{ROWS},3,FALSE)", lambda: f'CHOOSE({self.int(1, 2)},{t()},{t()})',
                         lambda: f"IFERROR(HLOOKUP({self.word()},{self.sheet()}A1:E{ROWS},{self.int(1, ROWS)},FALSE),{t()})", lambda: f'LOOKUP({self.int(1, 9)},{{1,3,5}},{{"p","q","r"}})')()

    def messy(self, depth): # anything goes: texts and errors where numbers should be
        m = lambda: self.messy(depth - 1) if depth > 1 else self.pick(self.cell('D'), self.cell('CDE'), '"3"', 'TRUE', '"x"', '2')
        return self.pick(lambda: f"({m()}{self.pick('+', '-', '*')}{m()})", lambda: f"({self.cell('CD')}{self.pick('=', '<', '>=', '<>')}{self.cell('DE')})", lambda: f"{self.cell('CD')}&{self.cell('DE')}", lambda: f'ABS({m()})', lambda: f'-{m()}', lambda: f'IF({m()},{m()},{m()})', lambda: f"SUM({self.cell('CDE')},{self.area('ABC')})", lambda: f'IFERROR({m()},{m()})', lambda: f'IFNA({m()},{m()})',
                         lambda: f"MAX({self.area('CDE')})", lambda: f"COUNT({self.area('CDE')},{self.cell('CDE')})", lambda: f"SUM({self.area('CDE')})", lambda: f"COUNTIF({self.column('D')},{self.criterion()})", lambda: f'ROUND({m()},0)', lambda: f"AND({self.cell('E')},{self.cell('E')},TRUE)", lambda: f'ABS({m()})%', lambda: f"INDEX({self.column('D')},{self.int(1, ROWS)})")()

    def array(self): # array formulas of one cell
        a, b, op = f'A1:A{ROWS}', f'{self.sheet()}B1:B{ROWS}', self.pick('+', '-', '*')
        return self.pick(lambda: f'SUM({a}{op}{b})', lambda: f'SUM(IF({a}>{self.int(-5, 5)},{b},{self.exact(0)}))', lambda: f'MAX(ABS({a}-{self.exact(0)}))', lambda: f'SUM(TRANSPOSE({a})*{self.sheet()}B1:B{ROWS})', lambda: f'SUM(MMULT(TRANSPOSE({a}),{a}))',
                         lambda: f'SUM(({a}={self.exact(0)})*{a})', lambda: f'SUM(ROW({a})*{a})', lambda: f'MIN(IF({a}<>{self.exact(0)},{a}{op}2))', lambda: f'INDEX({a}{op}{a},{self.int(1, ROWS)},1)', lambda: f'AVERAGE({a}{op}{self.exact(0)})')()


def book(dice, formulas=8, depth=2):
    "Sheets of a random workbook"
    cells, other, above = data(dice), data(dice), []
    pen = Pen(dice, above)
    for row in range(1, formulas + 1):
        kind = dice.pick('exact', 'exact', 'rough', 'rough', 'truth', 'text', 'messy', 'array')
        text = pen.array() if kind == 'array' else getattr(pen, kind)(depth)
        cells[row, COL] = F(text, cell_name(row, COL) if kind == 'array' else None)
        above.append({'array': 'exact'}.get(kind, kind))
    return {DATA: cells, OTHER: other}


@st.composite
def books(draw, formulas=3, depth=2): return book(Drawn(draw), formulas, depth)


def many(seeds, **kwargs):
    "Random workbooks in one: the sheets of each seed have its number"
    out = {}
    for seed in seeds:
        b = book(Dice(seed), **kwargs)
        for name, cells in b.items():
            out[f'{name} {seed}'] = {at: F(re.sub(r"'other data'!", f"'{OTHER} {seed}'!", v.text), v.array) if isinstance(v, F) else v for at, v in cells.items()}
    return out


def places(sheets): return [(s, *at) for s, cells in sheets.items() for at, v in cells.items() if isinstance(v, F)]


def from_module(path, places, **kwargs):
    from ddl_lesson8.sheets.module import SheetModule
    computed, out = SheetModule.load(path, **{'rand': 'seed', **kwargs})(), {}
    for sheet in {s for s, _, _ in places}:
        at = [(r, c) for s, r, c in places if s == sheet]
        (top, left), (bottom, right) = map(min, zip(*at)), map(max, zip(*at))
        table = computed.values(Area(sheet, top, left, bottom, right))
        out |= {(sheet, r, c): table[r - top][c - left] for r, c in at}
    return out


def smooth_book(dice):
    "A sheet of random differentiable formulas in H1:H6 of the numbers in A1:B3"
    cells = {(r, c): dice.int(-12, 12) / 8 + r / 16 + c / 32 for r in (1, 2, 3) for c in (1, 2)}
    def x(row): return dice.pick(*[f'{c}{r}' for c in 'AB' for r in (1, 2, 3)], *[f'H{k}' for k in range(1, row)])
    def one(row, depth):
        e = lambda: one(row, depth - 1) if depth else x(row)
        return dice.pick(lambda: f'({e()}+{e()})', lambda: f'({e()}-{e()})', lambda: f'({e()}*{e()})', lambda: f'{e()}/(2+COS({e()}))', lambda: f'TANH({e()})', lambda: f'SIN({e()})', lambda: f'EXP(TANH({e()}))', lambda: f'SQRT(1+{e()}^2)', lambda: f'LN(2+SIN({e()}))',
                         lambda: 'SUMPRODUCT(A1:A3,B1:B3)', lambda: f'SUM(A1:B3,{e()})', lambda: f'AVERAGE(A1:B2,{e()})', lambda: 'STDEV(A1:B3)', lambda: 'VAR.P(A1:B3)', lambda: 'SUMXMY2(A1:A3,B1:B3)', lambda: 'SUMX2MY2(A1:A3,B1:B3)', lambda: f'SUMSQ(A2:B3,{e()})', lambda: f'POWER({e()},2)', lambda: f'LOG10(3+COS({e()}))',
                         lambda: f'NORM.DIST({e()},0.5,2,TRUE)', lambda: f'NORM.DIST({e()},0.5,2,FALSE)', lambda: f'NORM.S.INV(0.5+0.3*SIN({e()}))', lambda: f'IF({dice.pick("TRUE", "FALSE")},{e()},{e()})', lambda: 'INDEX(MMULT(TRANSPOSE(A1:B3),A1:B3),1,2)', lambda: f'INDEX(A1:B3,{dice.int(1, 3)},2)', lambda: f'CHOOSE(2,{e()},{e()})', lambda: f'{e()}%', lambda: f'-{e()}', lambda: f'IFERROR({e()},1)')()
    for row in range(1, 7): cells[row, COL] = F(one(row, 2))
    return cells
