"""What Excel's documentation says that formulas give: (formula, result, cells), a block of cells as rows from its first cell on.
A formula that begins with { is an array formula. Numbers that the documentation rounds are compared at its digits."""
from typing import NamedTuple
from ddl_lesson8.sheets.xlsx import ErrorValue

NA, DIV, NUM, VALUE, REF, NAME, NULL = map(ErrorValue, ('#N/A', '#DIV/0!', '#NUM!', '#VALUE!', '#REF!', '#NAME?', '#NULL!'))


class Case(NamedTuple):
    formula: str
    result: object
    cells: dict = {}
    names: dict = {}
    digits: float = 1e-12 # relative difference allowed


XY = {'A1': [[2, 6], [3, 5], [9, 11], [1, 7], [8, 5], [7, 4], [5, 4]]}
CORR = {'A1': [[3, 9], [2, 7], [4, 12], [5, 15], [6, 17]]}
STEEL = {'A1': [[v] for v in (1345, 1301, 1368, 1322, 1310, 1370, 1318, 1350, 1303, 1299)]}
HOMES = {'A2': [[100000, 7000], [200000, 14000], [300000, 21000], [400000, 28000]], 'C2': [[250000]]}
SOLD = {'A2': [[5, 'Apples', 'Tom'], [4, 'Apples', 'Sarah'], [15, 'Artichokes', 'Tom'], [3, 'Artichokes', 'Sarah'], [22, 'Bananas', 'Tom'],
               [12, 'Bananas', 'Sarah'], [10, 'Carrots', 'Tom'], [33, 'Carrots', 'Sarah']]}
FRUIT = {'A2': [['apples', 32], ['oranges', 54], ['peaches', 75], ['apples', 86]]}
STOCK = {'A2': [['Bananas', 25], ['Oranges', 38], ['Apples', 40], ['Pears', 41]]}
COLORS = {'A2': [[4.14, 'red'], [4.19, 'orange'], [5.17, 'yellow'], [5.77, 'green'], [6.39, 'blue']]}
PARTS = {'A1': [['Axles', 'Bearings', 'Bolts'], [4, 4, 9], [5, 7, 10], [6, 8, 11]]}
RANKS = {'A2': [[7], [3.5], [3.5], [1], [2]]}
TALL = {'A2': [[3, 4], [5, 2], [3, 4], [5, 6], [4, 7]]}
MIXED = {'A1': [[1, 'text', True], [None, DIV, '5'], [2.5, '', False]]}
PLAIN = {'A1': [[1, 'text', True], [None, 4, '5'], [2.5, '', False]]}
DOWN = {'A1': [[9], [7], [5], [3]]}
NUMBERS = {'A1': [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}
MIXED_UP = {'A1': [[5], [1], [9], [3], [7], [2], [8], [4]]}
PASSED = {'A1': [[DIV, 82], [72, 65], [30, 95], [NUM, 63], [31, 53], [96, 71], [32, 55], [81, 83], [33, 100], [53, 91], [34, 89]]}
WORDS = {'A1': [['x', 10], ['B', 20], ['c', 30], ['X', 40], ['a*c', 50], ['abc', 60], [None, 70], [5, 80], [True, 90], ['~', 100]]}

CASES = [Case(*c) for c in [
    # operators
    ('1+2*3^2', 19), ('-2^2', 4), ('2^-1', .5), ('2^3^2', 64), ('10-4-3', 3), ('100/10/5', 2), ('50%', .5), ('200%%', .02), ('-50%', -.5), ('--3', 3), ('2*-3', -6),
    ('"a"&"b"&1', 'ab1'), ('1&TRUE', '1TRUE'), ('0.1&""', '0.1'), ('1/3&""', '0.333333333333333'), ('1E+19&""', '10000000000000000000'), ('1E+20&""', '1E+20'), ('1E+21&""', '1E+21'), ('0.0001&""', '0.0001'),
    ('123456789012&""', '123456789012'), ('-0.5&"%"', '-0.5%'), ('1+2&3', '33'),
    ('1<2', True), ('2<=2', True), ('2>3', False), ('3>=4', False), ('1=1', True), ('1<>1', False), ('"a"="A"', True), ('"a"<"B"', True), ('"Z"<"a"', False),
    ('2<"1"', True), ('"z"<TRUE', True), ('1<FALSE', True), ('TRUE>FALSE', True), ('"1"=1', False), ('TRUE=1', False), ('A1=0', True), ('A1=""', True), ('A1=FALSE', True), ('A1&"x"', 'x'),
    ('"3"+4', 7), ('"3"*"4"', 12), ('TRUE+TRUE', 2), ('"x"+1', VALUE), ('-"2"', -2), ('+"2"', '2'), ('1/0', DIV), ('0/0', DIV), ('0^0', NUM), ('0^-1', DIV), ('(-8)^0.5', NUM), ('(-8)^(1/3)', -2), ('0.1+0.2=0.3', True), ('"2"%', .02), ('1E+308*10', NUM),
    ('10^400', NUM), ('1=1=TRUE', True), ('2+3=5', True), ('#N/A+1', NA), ('#DIV/0!+#N/A', DIV), ('#N/A&"x"', NA), ('#REF!=1', REF),
    # adding up
    ('SUM(3,2)', 5), ('SUM("5",15,TRUE)', 21), ('SUM(A1:C3)', 7.5, PLAIN), ('SUM(A1:C3)', DIV, MIXED), ('SUM(B2:C2)', 4, PLAIN), ('SUM("x")', VALUE), ('SUM(C1)', 0, PLAIN), ('SUM(A2)', 0, PLAIN), ('SUM(A:A)', 3.5, {'A1': [[1], [2.5]]}),
    ('SUM(2:3)', 39, NUMBERS), ('SUM(A1:A3,B2,C1:C2)', 26, NUMBERS), ('SUM({1,2;3,4})', 10), ('SUM((A1:A3,C1:C3))', 30, NUMBERS), ('SUM(A1:B2 B2:C3)', 5, NUMBERS),
    ('SUMPRODUCT(A1:C1,A2:C2)', 32, NUMBERS), ('SUMPRODUCT((A1:A3>1)*(B1:B3))', 13, NUMBERS), ('SUMPRODUCT(A1:C3)', 45, NUMBERS), ('SUMPRODUCT(A1:C1,A2:B2)', VALUE, NUMBERS), ('SUMPRODUCT(A1:C3,A1:C3)', 23.25, PLAIN),
    ('SUMPRODUCT(--(A1:A3>1),B1:B3)', 13, NUMBERS), ('SUMPRODUCT({1,2,3},A1:C1)', 14, NUMBERS),
    ('SUMSQ(3,4)', 25), ('SUMSQ(A1:C1)', 14, NUMBERS), ('SUMXMY2(A1:A7,B1:B7)', 79, XY), ('SUMX2MY2(A1:A7,B1:B7)', -55, XY), ('SUMX2PY2(A1:A7,B1:B7)', 521, XY), ('SUMXMY2({2,3},{6,5})', 20), ('SUMXMY2(A1:A7,B1:B6)', NA, XY),
    ('SUMIF(A2:A5,">160000",B2:B5)', 63000, HOMES), ('SUMIF(A2:A5,">160000")', 900000, HOMES), ('SUMIF(A2:A5,300000,B2:B5)', 21000, HOMES), ('SUMIF(A2:A5,">"&C2,B2:B5)', 49000, HOMES), ('SUMIF(A2:A5,">160000",B2)', 63000, HOMES),
    ('SUMIFS(A2:A9,B2:B9,"=A*",C2:C9,"Tom")', 20, SOLD), ('SUMIFS(A2:A9,B2:B9,"<>Bananas",C2:C9,"Tom")', 30, SOLD),
    ('SUMIF(A1:A10,"x",B1:B10)', 50, WORDS), ('SUMIF(A1:A10,"a~*c",B1:B10)', 50, WORDS), ('SUMIF(A1:A10,"a*c",B1:B10)', 110, WORDS), ('SUMIF(A1:A10,"?",B1:B10)', 200, WORDS), ('SUMIF(A1:A10,"",B1:B10)', 70, WORDS), ('SUMIF(A1:A10,"5",B1:B10)', 80, WORDS),
    ('SUMIF(A1:A10,TRUE,B1:B10)', 90, WORDS), ('SUMIF(A1:A10,"<>",B1:B10)', 480, WORDS), ('SUMIF(A1:A10,">b",B1:B10)', 80, WORDS), ('SUMIF(A1:A10,"~~",B1:B10)', 100, WORDS), ('SUMIF(A1:A10,"<>x",B1:B10)', 500, WORDS),
    # counting
    ('COUNT(A1:C3)', 3, PLAIN), ('COUNT(1,"2",TRUE,"x")', 3), ('COUNTA(A1:C3)', 8, PLAIN), ('COUNTBLANK(A1:C3)', 2, PLAIN), ('COUNT(A1:C3)', 2, MIXED), ('COUNTA(A1:C3)', 8, MIXED),
    ('COUNTIF(A2:A5,"apples")', 2, FRUIT), ('COUNTIF(B2:B5,">55")', 2, FRUIT), ('COUNTIF(B2:B5,"<>"&B4)', 3, FRUIT), ('COUNTIF(A2:A5,"*")', 4, FRUIT), ('COUNTIF(A2:A5,"?????es")', 2, FRUIT), ('COUNTIF(A2:A5,A3)+COUNTIF(A2:A5,A2)', 3, FRUIT),
    ('COUNTIF(B2:B5,">=32")-COUNTIF(B2:B5,">85")', 3, FRUIT), ('COUNTIFS(A2:A5,"apples",B2:B5,">55")', 1, FRUIT), ('COUNTIF(A1:A10,"<>x")', 8, WORDS), ('COUNTIF(A1:A10,"=")', 1, WORDS), ('COUNTIF(A1:A10,"<>")', 9, WORDS),
    # totals that pass over cells
    ('SUBTOTAL(9,A2:A5)', 303, {'A2': [[120], [10], [150], [23]]}), ('SUBTOTAL(1,A2:A5)', 75.75, {'A2': [[120], [10], [150], [23]]}), ('SUBTOTAL(0,A1:A3)', VALUE, NUMBERS),
    ('SUBTOTAL(105,A1:C3)', DIV, MIXED), ('SUBTOTAL(3,A1:C3)', 8, PLAIN), ('SUBTOTAL(9,A1:A3,C1:C3)', 30, NUMBERS),
    ('AGGREGATE(4,6,A1:A11)', 96, PASSED), ('AGGREGATE(14,6,A1:A11,3)', 72, PASSED), ('AGGREGATE(15,6,A1:A11)', VALUE, PASSED), ('AGGREGATE(12,6,A1:A11,B1:B11)', 68, PASSED),
    ('AGGREGATE(9,4,A1:A11)', DIV, PASSED), ('AGGREGATE(14,6,A1:A11/(B1:B11>80),1)', 81, PASSED), ('MODE(5.6,4,4,3,2,4)', 4), ('MODE.SNGL(1,2)', NA),
    # averages and spread
    ('AVERAGE(10,7,9,27,2)', 11), ('AVERAGE(A1:C3)', 2.5, PLAIN), ('AVERAGE(B1:B3)', 4, PLAIN), ('AVERAGE(B1)', DIV, PLAIN), ('AVERAGEIF(B2:B5,"<23000")', 14000, HOMES), ('AVERAGEIF(A2:A5,"<250000")', 150000, HOMES), ('AVERAGEIF(A2:A5,"<95000")', DIV, HOMES),
    ('AVERAGEIF(A2:A5,">250000",B2:B5)', 24500, HOMES), ('AVERAGEIFS(A2:A9,B2:B9,"Apples",C2:C9,"Tom")', 5, SOLD),
    ('MAX(10,7,9,27,2)', 27), ('MIN(10,7,9,27,2,0)', 0), ('MAX(A1:C3)', 4, PLAIN), ('MIN(A1:C3)', 1, PLAIN), ('MAX(B1)', 0, PLAIN), ('MAX(-1,TRUE)', 1), ('MAX(A1:C3)', DIV, MIXED), ('MAX("5",2)', 5),
    ('LARGE(A2:B6,3)', 5, TALL), ('LARGE(A2:B6,7)', 4, TALL), ('SMALL({3,4,5,2,3,4,6,4,7},4)', 4), ('SMALL({1,4,8,3,7,12,54,8,23},2)', 3), ('LARGE(A2:B6,11)', NUM, TALL), ('SMALL(A2:B6,0)', NUM, TALL),
    ('MEDIAN({1,2,3,4,5})', 3), ('MEDIAN(1,2,3,4,5,6)', 3.5), ('MEDIAN(B1)', NUM, PLAIN), ('RANK(A3,A2:A6,1)', 3, RANKS), ('RANK(A2,A2:A6,1)', 5, RANKS), ('RANK(A2,A2:A6)', 1, RANKS), ('RANK.EQ(A3,A2:A6)', 2, RANKS), ('RANK(9,A2:A6)', NA, RANKS),
    ('STDEV(A1:A10)', 27.46391572, STEEL, {}, 1e-9), ('STDEV.S(A1:A10)', 27.46391572, STEEL, {}, 1e-9), ('STDEV.P(A1:A10)', 26.05455814, STEEL, {}, 1e-9), ('STDEVP(A1:A10)', 26.05455814, STEEL, {}, 1e-9), ('VAR(A1:A10)', 754.2666667, STEEL, {}, 1e-9),
    ('VAR.S(A1:A10)', 754.2666667, STEEL, {}, 1e-9), ('VAR.P(A1:A10)', 678.84, STEEL), ('VARP(A1:A10)', 678.84, STEEL), ('STDEV(1)', DIV), ('VAR.P(1)', 0), ('STDEV.P(B1)', DIV, PLAIN), ('CORREL(A1:A5,B1:B5)', 0.997054486, CORR, {}, 1e-9), ('CORREL(A1:A5,B1:B4)', NA, CORR), ('CORREL({1,1},{1,2})', DIV),
    # logic
    ('IF(1>2,"yes","no")', 'no'), ('IF(1>2,5)', False), ('IF(2,5,1/0)', 5), ('IF("TRUE",1,2)', 1), ('IF("x",1,2)', VALUE), ('IF(A1,1,2)', 2), ('IF(1/0,1,2)', DIV), ('IF(TRUE,,3)', 0), ('IFS(FALSE,1,TRUE,2)', 2), ('IFS(FALSE,1)', NA), ('IFS(1>2,1/0,3>2,"b")', 'b'),
    ('IFERROR(1/0,"none")', 'none'), ('IFERROR(210/35,0)', 6), ('IFERROR(A1,5)', 0), ('IFNA(#N/A,"none")', 'none'), ('IFNA(1/0,"none")', DIV), ('AND(TRUE,FALSE)', False), ('AND(2>1,3)', True), ('OR(FALSE,0)', False), ('OR(1=2,2=2)', True), ('NOT(FALSE)', True), ('NOT(3)', False),
    ('AND(A1:C3)', True, {'A1': [[1, 'text', True]]}), ('OR(A1:A2)', VALUE, {'A1': [['x'], [None]]}), ('AND("TRUE",TRUE)', True), ('AND("x")', VALUE), ('OR(TRUE,1/0)', DIV), ('NOT("x")', VALUE), ('TRUE()', True), ('FALSE()', False),
    # numbers
    ('ABS(-4)', 4), ('SIGN(10)', 1), ('SIGN(4-4)', 0), ('SIGN(-0.00001)', -1), ('INT(8.9)', 8), ('INT(-8.9)', -9), ('ROUND(2.15,1)', 2.2), ('ROUND(2.149,1)', 2.1), ('ROUND(-1.475,2)', -1.48), ('ROUND(21.5,-1)', 20), ('ROUND(626.3,-3)', 1000), ('ROUND(1.98,-1)', 0), ('ROUND(-50.55,-2)', -100),
    ('ROUND(0.5,0)', 1), ('ROUND(2.5,0)', 3), ('ROUND(-2.5,0)', -3), ('ROUND(1.005,2)', 1.01), ('ROUNDUP(3.2,0)', 4), ('ROUNDUP(76.9,0)', 77), ('ROUNDUP(3.14159,3)', 3.142), ('ROUNDUP(-3.14159,1)', -3.2), ('ROUNDUP(31415.92654,-2)', 31500), ('ROUNDDOWN(3.2,0)', 3), ('ROUNDDOWN(76.9,0)', 76),
    ('ROUNDDOWN(3.14159,3)', 3.141), ('ROUNDDOWN(-3.14159,1)', -3.1), ('ROUNDDOWN(31415.92654,-2)', 31400), ('MOD(3,2)', 1), ('MOD(-3,2)', 1), ('MOD(3,-2)', -1), ('MOD(-3,-2)', -1), ('MOD(3,0)', DIV), ('MOD(5.5,2)', 1.5), ('POWER(5,2)', 25), ('POWER(98.6,3.2)', 2401077.222, {}, {}, 1e-9), ('POWER(4,5/4)', 5.656854249, {}, {}, 1e-9),
    ('SQRT(16)', 4), ('SQRT(-16)', NUM), ('EXP(1)', 2.71828183, {}, {}, 1e-8), ('EXP(1000)', NUM), ('LN(86)', 4.4543473, {}, {}, 1e-7), ('LN(0)', NUM), ('LN(2.7182818)', 1, {}, {}, 1e-7), ('LOG(10)', 1), ('LOG(8,2)', 3), ('LOG(86,2.7182818)', 4.4543473, {}, {}, 1e-7), ('LOG(-1)', NUM), ('LOG(5,1)', DIV), ('LOG10(86)', 1.93449845124357, {}, {}, 1e-12), ('LOG10(100000)', 5),
    ('TANH(-2)', -0.964028, {}, {}, 1e-6), ('TANH(0)', 0), ('TANH(0.5)', 0.462117, {}, {}, 1e-6), ('SIN(PI()/2)', 1), ('SIN(30*PI()/180)', .5), ('COS(1.047)', 0.5001711, {}, {}, 1e-6), ('PI()', 3.14159265358979, {}, {}, 1e-14), ('SQRT("9")', 3), ('ABS("x")', VALUE), ('ABS(TRUE)', 1), ('EXP(A1)', 1),
    # matrices and places
    ('{MMULT({1,3;7,2},{2,0;0,2})', 2), ('INDEX(MMULT({1,3;7,2},{2,0;0,2}),2,1)', 14), ('INDEX(MMULT({1,3;7,2},{2,0;0,2}),1,2)', 6), ('INDEX(TRANSPOSE(A1:C3),1,3)', 7, NUMBERS), ('{SUM(TRANSPOSE(A1:A3)*A1:C1)', 30, NUMBERS), ('MMULT({1,2},{1,2})', VALUE),
    ('{SUM(A1:A3*B1:B3)', 78, NUMBERS), ('{SUM(IF(A1:C3>4,A1:C3,0))', 35, NUMBERS), ('{MAX(ABS(A1:C3-5))', 4, NUMBERS), ('{SUM((A1:A3)*(A1:C1))', 72, NUMBERS), ('{INDEX(A1:A3*A1:C1,3,3)', 21, NUMBERS), ('{SUM(A1:A3+A1:B2)', NA, NUMBERS),
    ('INDEX(A1:C3,2,3)', 6, NUMBERS), ('SUM(INDEX(A1:C3,0,1))', 12, NUMBERS), ('SUM(INDEX(A1:C3,2,0))', 15, NUMBERS), ('INDEX(A1:A3,2)', 4, NUMBERS), ('INDEX(A1:C1,2)', 2, NUMBERS), ('INDEX(A1:C3,4,1)', REF, NUMBERS), ('INDEX({1,2;3,4},2,2)', 4), ('SUM(A1:INDEX(A1:C3,2,2))', 12, NUMBERS), ('INDEX(A1:A3,-1)', VALUE, NUMBERS),
    ('MATCH(39,B2:B5,1)', 2, STOCK), ('MATCH(41,B2:B5,0)', 4, STOCK), ('MATCH(40,B2:B5,-1)', NA, STOCK), ('MATCH(39,B2:B5)', 2, STOCK), ('MATCH(6,A1:A4,-1)', 2, DOWN), ('MATCH(10,A1:A4,-1)', NA, DOWN), ('MATCH("ORANGES",A2:A5,0)', 2, STOCK), ('MATCH("*es",A2:A5,0)', 2, STOCK), ('MATCH("P?ars",A2:A5,0)', 4, STOCK), ('MATCH("a~*c",A1:A10,0)', 5, WORDS), ('MATCH(TRUE,A1:A10,0)', 9, WORDS),
    ('MATCH("zzz",A2:A5,0)', NA, STOCK), ('MATCH(20,B2:B5,1)', NA, STOCK), ('MATCH(1/0,B2:B5,0)', DIV, STOCK), ('MATCH(2,{1,2,3},0)', 2),
    ('XMATCH(39,B2:B5,-1)', 2, STOCK), ('XMATCH(39,B2:B5,1)', 3, STOCK), ('XMATCH(39,B2:B5)', NA, STOCK), ('XMATCH("P*",A2:A5,2)', 4, STOCK), ('XMATCH("apples",A2:A5,0,-1)', 4, FRUIT), ('XMATCH("apples",A2:A5)', 1, FRUIT),
    ('XLOOKUP("Apples",A2:A5,B2:B5)', 40, STOCK), ('XLOOKUP("Kiwis",A2:A5,B2:B5,"none")', 'none', STOCK), ('XLOOKUP("Kiwis",A2:A5,B2:B5)', NA, STOCK), ('XLOOKUP(39,B2:B5,A2:A5,,-1)', 'Oranges', STOCK), ('XLOOKUP(39,B2:B5,A2:A5,,1)', 'Apples', STOCK), ('XLOOKUP("apples",A2:A5,B2:B5,,0,-1)', 86, FRUIT), ('SUM(XLOOKUP("b",A1:A3,B1:C3))', 5, {'A1': [['a', 0, 1], ['b', 2, 3], ['c', 4, 5]]}),
    ('VLOOKUP("Apples",A2:B5,2,FALSE)', 40, STOCK), ('VLOOKUP(5,A2:B6,2)', 'orange', COLORS), ('VLOOKUP(5.77,A2:B6,2,TRUE)', 'green', COLORS), ('VLOOKUP(1,A2:B6,2)', NA, COLORS), ('VLOOKUP("Apples",A2:B5,3,FALSE)', REF, STOCK), ('VLOOKUP("Apples",A2:B5,0,FALSE)', VALUE, STOCK), ('VLOOKUP("o*",A2:B5,2,FALSE)', 38, STOCK), ('VLOOKUP("apples",A2:B5,2,0)', 40, STOCK),
    ('HLOOKUP("Axles",A1:C4,2,TRUE)', 4, PARTS), ('HLOOKUP("Bearings",A1:C4,3,FALSE)', 7, PARTS), ('HLOOKUP("B",A1:C4,3,TRUE)', 5, PARTS), ('HLOOKUP("Bolts",A1:C4,4)', 11, PARTS), ('HLOOKUP(3,{1,2,3;"a","b","c";"d","e","f"},2,TRUE)', 'c'), ('LOOKUP(4.19,A2:A6,B2:B6)', 'orange', COLORS), ('LOOKUP(5.75,A2:A6,B2:B6)', 'yellow', COLORS),
    ('LOOKUP(7.66,A2:A6,B2:B6)', 'blue', COLORS), ('LOOKUP(0,A2:A6,B2:B6)', NA, COLORS), ('LOOKUP(4.2,A2:B6)', 'orange', COLORS), ('LOOKUP("C",{"a","b","c","d";1,2,3,4})', 3), ('LOOKUP("bump",{"a",1;"b",2;"c",3})', 2),
    ('OFFSET(A1,1,2)', 6, NUMBERS), ('SUM(OFFSET(A1,1,1,2,2))', 28, NUMBERS), ('SUM(OFFSET(A1:B2,1,1))', 28, NUMBERS), ('OFFSET(A1,-1,0)', REF, NUMBERS), ('CHOOSE(2,"a","b","c")', 'b'), ('CHOOSE(4,1,2,3)', VALUE), ('SUM(CHOOSE(2,A1:A3,B1:B3))', 15, NUMBERS), ('CHOOSE(1,5,1/0)', 5), ('CHOOSE(2.9,5,6,7)', 6),
    ('ROW(A7)', 7), ('ROW()', 20), ('COLUMN(D1)', 4), ('COLUMN()', 8), ('ROWS(A1:C4)', 4), ('COLUMNS(A1:C4)', 3), ('ROWS({1,2,3;4,5,6})', 2), ('COLUMNS({1,2,3;4,5,6})', 3), ('{SUM(ROW(A1:A4))', 10), ('SUMPRODUCT(ROW(A1:A3)*COLUMN(A1:C1))', 36),
    # chance
    ('AND(RAND()>=0,RAND()<1)', True), ('AND(RANDBETWEEN(3,5)>=3,RANDBETWEEN(3,5)<=5)', True), ('RANDBETWEEN(7,7)', 7), ('INT(RANDBETWEEN(1,9))-RANDBETWEEN(0,0)>0', True), ('RANDBETWEEN(5,3)', NUM),
    ('NORM.DIST(42,40,1.5,TRUE)', 0.9087888, {}, {}, 1e-7), ('NORM.DIST(42,40,1.5,FALSE)', 0.10934, {}, {}, 1e-5), ('NORMDIST(42,40,1.5,TRUE)', 0.9087888, {}, {}, 1e-7), ('NORM.INV(0.908789,40,1.5)', 42.000002, {}, {}, 1e-8), ('NORMINV(0.908789,40,1.5)', 42.000002, {}, {}, 1e-8), ('NORM.S.INV(0.908789)', 1.3333347, {}, {}, 1e-7),
    ('NORMSINV(0.908789)', 1.3333347, {}, {}, 1e-7), ('NORM.S.INV(0)', NUM), ('NORM.INV(0.5,3,0)', NUM), ('NORM.DIST(1,0,0,TRUE)', NUM), ('NORM.S.INV(0.5)', 0),
    # names, other sheets, intersection
    ('rate*2', 3, {}, {'rate': '1.5'}), ('SUM(block)', 45, NUMBERS, {'block': '{sheet}!$A$1:$C$3'}), ('RATE_1+1', 5, NUMBERS, {'Rate_1': '{sheet}!$A$2'}), ('twice', 8, NUMBERS, {'twice': '2*{sheet}!$A$2'}), ('nosuchname', NAME), ('{sheet}!B2', 5, NUMBERS), ('SUM({sheet}!A1:B2)', 12, NUMBERS),
    ('@A18:A22', 3, {'A18': [[1], [2], [3], [4], [5]]}), ('A18:A22*2', 6, {'A18': [[1], [2], [3], [4], [5]]}), ('SINGLE(A18:A22)', 3, {'A18': [[1], [2], [3], [4], [5]]}), ('A1:A5*2', VALUE, {'A1': [[1], [2], [3], [4], [5]]}), ('F1:J1', 3, {'F1': [[1, 2, 3, 4, 5]]}), ('F1:G1', VALUE, {'F1': [[1, 2]]}), ('ABS(A18:A22)', 3, {'A18': [[-1], [-2], [-3], [4], [5]]}),
    ('A1', 0), ('A1', 'text', {'A1': [['text']]}), ('A1', DIV, {'A1': [[DIV]]}), ('SUM(A1:B2 D1:E2)', NULL, NUMBERS),
    # what random formulas rarely reach
    ('---2', -2), ('-+-2', 2), ('5%%', .0005), ('2^50%', 2**.5), ('-A1^2', 9, {'A1': [[3]]}), ('1-A1^2', -8, {'A1': [[3]]}), ('-TRUE', -1), ('--"3"', 3), ('-"x"', VALUE), ('+"x"', 'x'),
    ('1E-9/7&""', '1.42857142857143E-10'), ('5.678902E-8&""', '0.00000005678902'), ('5.67890123456E-8&""', '5.67890123456E-08'), ('0.0000123456789&""', '0.0000123456789'), ('-1E-18&""', '-0.000000000000000001'), ('1E-19&""', '1E-19'), ('-1E+20&""', '-1E+20'),
    ('"a-b">"ab"', True), ('"a-b"<"ac"', True), ('"a-b"="ab"', False), ('"it\'s">"its"', True), ('"ab-c"<"abd"', True), ('A1<"a"', True), ('A1<1', True), ('A1=A2', True), ('A1<>""', False),
    ('"$1,000"+1', 1001), ('"2020-03-04"+0', 43894), ('"3/4/2020"+1', 43895), ('"1/1/1900"+0', 1), ('"3/1/1900"+0', 61), ('"13/1/2020"+0', VALUE), ('"1/1/1899"+0', VALUE), ('"5/"+0', VALUE), ('"1,2345"+0', VALUE), ('"1,5"+0', VALUE), ('"12,34"+0', VALUE), ('"1.234,5"+0', VALUE), ('"1,234.5"+0', 1234.5), ('"٣"+0', VALUE), ('"5e400"+0', VALUE),
    ('"(5)"+0', -5), ('"$-5"+0', -5), ('"12:30 PM"+0', 12.5 / 24), ('"13:30 PM"+0', VALUE), ('"36:00"+0', 1.5), ('"31/12/2024"+0', VALUE), ('"31.12.2024"+0', VALUE), ('"12/31/24"+0', 45657), ('"1/1/30"+0', 10959),
    ('"5-Jan-2024"+0', 45296), ('"January 5, 2024"+0', 45296), ('"5-Foo-2024"+0', VALUE), ('"2024-02-01 18:00"+0', 45323.75), ('COUNT("3/4/2020",1)', 2), ('" 10 "+0', 10), ('" 2024-01-10 "+0', VALUE),
    ('COUNTIF(A1:A3,">3/4/2020")', 1, {'A1': [[43894], [43895], ['x']]}), ('SUM(A1:A2)', 1, {'A1': [['3/4/2020'], [1]]}),
    ('INDEX((A1:A3,C1:C3),2,1,2)', 6, NUMBERS), ('INDEX((A1:A3,C1:C3),2)', 4, NUMBERS), ('INDEX((A1:A3,C1:C3),2,1,3)', REF, NUMBERS), ('INDEX(A1:C3,1,1,2)', REF, NUMBERS), ('SUM(INDEX((A1:A3,B1:C3),0,2,2))', 18, NUMBERS),
    ('SUM(INDEX(A1:C3,0,0))', 45, NUMBERS), ('SUM(INDEX(A1:C3,,2))', 15, NUMBERS), ('INDEX(A1:C3,2.9,1.9)', 4, NUMBERS), ('INDEX(A:A,3)', 7, NUMBERS), ('SUM(INDEX(A:C,0,2))', 15, NUMBERS), ('INDEX(5,1,1)', 5),
    ('SUM(OFFSET(C3,0,0,-2,-2))', 28, NUMBERS), ('OFFSET(A1,0,0,0,1)', REF, NUMBERS), ('SUM(OFFSET(A1,1.9,0,1.9,3))', 15, NUMBERS), ('ROWS(OFFSET(A1,0,0,3,2))', 3, NUMBERS), ('VLOOKUP(4,A:C,3,FALSE)', 6, NUMBERS), ('SUMIF(A:A,">1",B:B)', 13, NUMBERS), ('SUMPRODUCT(A:A,B:B)', 78, NUMBERS),
    ('MATCH(2,A1:A5,1)', 4, {'A1': [[1], [2], [2], [2], [5]]}), ('MATCH(2,A1:A5,0)', 2, {'A1': [[1], [2], [2], [2], [5]]}), ('MATCH(1E+300,A1:A4)', 3, {'A1': [[5], ['x'], [2], [None]]}), ('MATCH("a?c",A1:A10,0)', 5, WORDS), ('MATCH("~~",A1:A10,0)', 10, WORDS), ('MATCH("A",{"b","a"},0)', 2),
    ('LOOKUP(2,1/(A1:A3<5),B1:B3)', 5, NUMBERS), ('LOOKUP(1E+300,A1:A3)', 7, NUMBERS), ('VLOOKUP("a*",A1:B10,2,FALSE)', 50, WORDS), ('VLOOKUP(A9,A1:B3,2,FALSE)', NA, NUMBERS), ('VLOOKUP(4,A1:C3,"2",0)', 5, NUMBERS), ('VLOOKUP(4,A1:C3,2,1/0)', DIV, NUMBERS), ('VLOOKUP(4,A1:C3,2,"x")', VALUE, NUMBERS),
    ('XLOOKUP(5,A1:A3,B1:B3,"none",-1)', 5, NUMBERS), ('XLOOKUP(5,A1:A3,B1:B3,"none",1)', 8, NUMBERS), ('XLOOKUP(0,A1:A3,B1:B3,"none",-1)', 'none', NUMBERS), ('XLOOKUP(1,A1:A3,B1:B3,1/0)', 2, NUMBERS), ('XLOOKUP(0,A1:A3,B1:B3,1/0)', DIV, NUMBERS), ('XLOOKUP(5,A1:A3,B1:B3,"none",-1,2)', 5, NUMBERS),
    ('XLOOKUP(5,{9;7;4},{1;2;3},"none",-1,-2)', 3), ('XLOOKUP("a*c",A1:A10,B1:B10,"none",2,-1)', 60, WORDS), ('XLOOKUP("a*c",A1:A10,B1:B10)', 50, WORDS), ('SUM(XLOOKUP(4,A1:A3,A1:C3))', 15, NUMBERS), ('XMATCH(3,{1,3,3,5},0,-1)', 3), ('XMATCH(3,{1,3},5)', VALUE), ('XLOOKUP(1,A1:A3,B1:B3,0,0,3)', VALUE, NUMBERS), ('XLOOKUP(,A1:A10,B1:B10)', 70, WORDS), ('XMATCH(C1,A1:A3)', 3, {'A1': [[0], [''], [None]]}), ('MATCH(C1,A1:A3,0)', 1, {'A1': [[0], [''], [None]]}),
    # values that are not in order: Excel halves the range
    *[(f'MATCH({x},A1:A8)', at, MIXED_UP) for x, at in ((0, NA), (1, 2), (2.5, 2), (4, 6), (5, 6), (7, 6), (8, 7), (10, 8))], ('VLOOKUP(6,A1:A5,1)', 1, MIXED_UP), ('LOOKUP(4,A1:A5)', NA, MIXED_UP), ('HLOOKUP(6,{5,1,9,3,7},1)', 1),
    ('MATCH(2,{3,1,2,2,5,2,2},1)', 4), ('MATCH(2,{2,3,2,2,1,0,9},1)', 4), ('MATCH("b",{"c",1,"a",2,"b","d"})', 5),
    ('COUNTIF(A1:A10,"a~*c")', 1, WORDS), ('COUNTIF(A1:A10,"<>*")', 3, WORDS), ('COUNTIF(A1:A10,"*")', 7, WORDS), ('COUNTIF(B1:B10,"> 90")', 1, WORDS), ('COUNTIF(A1:A3,3)', 2, {'A1': [[3], ['3'], ['3x']]}), ('COUNTIF(A1:A3,">2")', 1, {'A1': [[3], ['3'], ['3x']]}), ('COUNTIF(A1:A2,NA())', 1, {'A1': [[NA], [DIV]]}),
    ('SUM(COUNTIF(A1:A3,{1,4}))', 2, NUMBERS), ('SUM(SUMIF(A1:A3,{">1","<5"}))', 16, NUMBERS), ('SUMIFS(B1:B2,A1:A3,">1")', VALUE, NUMBERS), ('SUM(A1,4)', 4, {'A1': [['3']]}), ('A1+4', 7, {'A1': [['3']]}), ('SUM({"3",4})', 4), ('SUM(A1+0,4)', 7, {'A1': [['3']]}),
    ('AVERAGE(A1:A3)', 2, {'A1': [['x'], [2], ['7']]}), ('AVERAGE("x",4)', VALUE), ('COUNT(,1)', 2), ('COUNTA("",1)', 2), ('COUNTA(A1:A2)', 1, {'A1': [[''], [None]]}), ('MAX(A1:A2,-5)', -5, {'A1': [['x'], [True]]}), ('AND(A1,TRUE)', True, {'A1': [['x']]}), ('NOT(A1)', True),
    ('MOD(-0.5,1)', .5), ('MOD(-6,3)', 0), ('ROUND(1250,-2)', 1300), ('ROUND(-1250,-2)', -1300), ('ROUND(1.1,400)', 1.1), ('ROUND(50000,-5)', 100000), ('ROUND(12.34,"1")', 12.3), ('ROUNDUP(-1234,-2)', -1300), ('ROUNDDOWN(4.35*100,0)', 435), ('ROUNDUP(1.1,1)', 1.1), ('INT(-0.0000001)', -1),
    ('RANK(A1,A1:A3,1/0)', DIV, NUMBERS), ('RANK(3,A1:A5)', 3, {'A1': [[5], [3], [3], [1], [4]]}), ('RANK(3,A1:A5,1)', 2, {'A1': [[5], [3], [3], [1], [4]]}), ('LARGE(B1:B3,1)', NUM, {'B1': [['x'], [True], [None]]}), ('SUM(LARGE(A1:C3,{1,2,3}))', 24, NUMBERS), ('VAR(1E+9+1,1E+9+2,1E+9+3)', 1),
    ('CORREL({0.1,0.1,0.1},{1,2,3})', DIV), ('CORREL(A1:A3,B1:B3)', DIV, {'A1': [['a', 2], ['b', 3], ['c', 4]]}), ('INT(LOG(1000,10))', 3), ('INT(LOG(1000))', 3), ('LOG(0.125,2)', -3), ('LOG(1,1)', DIV), ('LOG(10,0)', NUM),
    ('NORM.INV(0,0,1)', NUM), ('NORM.INV(1,0,1)', NUM), ('NORM.DIST(-8,0,1,TRUE)*1E+15', 0.6220960574271784), ('NORM.DIST(-30,0,1,TRUE)*1E+198', 4.906713927148187, {}, {}, 1e-11), ('NORM.S.INV(1E-300)', -37.0471, {}, {}, 1e-6),
    ('SUMPRODUCT(A1:A3>1,B1:B3)', 0, NUMBERS), ('SUMPRODUCT(--(A1:A4="x"),B1:B4)', 2, {'A1': [['X', 2], ['3', 4], [True, 5], [None, 6]]}), ('SUMPRODUCT(A1:A2,B1:B2)', 8, {'A1': [['x', 2], [2, 4]]}), ('SUMPRODUCT(A1:A2*B1:B2)', VALUE, {'A1': [['x', 2], [2, 4]]}),
    ('{COUNT(IF(A1:C3>4,A1:C3))', 5, NUMBERS), ('{AVERAGE(IF(A1:C3>4,A1:C3))', 7, NUMBERS), ('{SUM(IF({TRUE,FALSE,TRUE},A1:C1,100))', 104, NUMBERS), ('{SUM(IF(A1:A3>1,A1:C1))', 12, NUMBERS), ('VLOOKUP(5,CHOOSE({1,2},B1:B3,A1:A3),2,FALSE)', 4, NUMBERS), ('{SUM(MMULT(A1:C3,TRANSPOSE(A1:C3)))', 693, NUMBERS),
]]

# every function of the list in the documentation of the module
FUNCTIONS = set('''SUM SUMPRODUCT SUMSQ SUMXMY2 SUMX2MY2 SUMX2PY2 SUMIF SUMIFS AVERAGE AVERAGEIF AVERAGEIFS COUNT COUNTA COUNTBLANK COUNTIF COUNTIFS MAX MIN LARGE SMALL
MEDIAN VAR VAR.S VAR.P VARP STDEV STDEV.S STDEV.P STDEVP CORREL RANK RANK.EQ IF IFS IFERROR IFNA AND OR NOT ABS SIGN INT ROUND ROUNDUP ROUNDDOWN MOD POWER SQRT EXP LN LOG LOG10
TANH SIN COS PI MMULT TRANSPOSE INDEX MATCH XMATCH XLOOKUP VLOOKUP HLOOKUP LOOKUP OFFSET CHOOSE ROW COLUMN ROWS COLUMNS RAND RANDBETWEEN NORM.INV NORMINV NORM.S.INV
NORMSINV NORM.DIST NORMDIST TRUE FALSE SINGLE'''.split())
