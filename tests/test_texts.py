"Texts that Excel reads as numbers: days without a year, months, fractions, and days counted from 1904"
import re, zipfile
from datetime import date
import openpyxl, pytest, torch
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from ddl_lesson8.sheets import values
from ddl_lesson8.sheets.address import SheetError
from ddl_lesson8.sheets.module import SheetModule


class InMarch2023(date):
    @classmethod
    def today(cls): return cls(2023, 3, 8)


# the clock's year, where none is given: https://support.microsoft.com/en-us/office/datevalue-function-df8b07d4-7761-4a93-bc33-b7471bbff252
READ = {'5-Mar': (2023, 3, 5), '5 Mar': (2023, 3, 5), 'Mar 5': (2023, 3, 5), 'mar-5': (2023, 3, 5), 'March 5': (2023, 3, 5), '3/5': (2023, 3, 5), '12-31': (2023, 12, 31),
        'Mar-24': (2023, 3, 24), 'Mar-45': (1945, 3, 1), '2/30': (1930, 2, 1), 'Feb-29': (2029, 2, 1), 'Mar 2024': (2024, 3, 1), 'March-2024': (2024, 3, 1), '3/2024': (2024, 3, 1)}
NOT_READ = ['29-Feb', '30 Feb', 'Feb 30', '13/5', '0/5', '5-abc', 'abc 5', 'Mar', 'Mar5', '1 2', '1 1/0', '1  1/2', '1 1/2 1', '2024-03', '1/2/3/4', '5-Mar-', 'x5-Mar']


@pytest.fixture
def march(monkeypatch): monkeypatch.setattr(values, 'date', InMarch2023)


@pytest.mark.parametrize('text', READ)
def test_a_day_without_a_year(march, text):
    day = (date(*READ[text]) - date(1899, 12, 30)).days
    assert values._parse(text) == day and values._parse(text, date1904=True) == day - 1462
    assert values._parse(f'{text} 18:00') == day + .75


@pytest.mark.parametrize('text', NOT_READ)
def test_no_day_and_no_fraction(march, text): assert values._parse(text) is None


def test_fractions(): # LibreOffice reads the same
    assert {t: values._parse(t) for t in ('1 1/2', ' 1 1/2 ', '-1 1/2', '+0 3/4', '0 0/5', '1 13/4')} == {'1 1/2': 1.5, ' 1 1/2 ': 1.5, '-1 1/2': -1.5, '+0 3/4': .75, '0 0/5': 0, '1 13/4': 4.25}


def book(path, *rows, day_one_1904=False):
    wb = openpyxl.Workbook()
    if day_one_1904: wb.epoch = CALENDAR_MAC_1904
    for row in rows: wb.active.append(row)
    wb.active.title = 's'
    wb.save(path)
    return SheetModule.load(path)


def test_in_formulas_and_conditions(march, tmp_path):
    m = book(tmp_path/'t.xlsx', ['5-Mar', '1 1/2', 'Mar 5'], ['=A1*1', '=B1+B1', '=COUNTIF(A1:C1,"3/5")'], ['=SUM(A1:C1)', '="7-Mar"-A1', '=IFERROR("30 Feb"+0,"no day")'])
    assert m.values('A2:C3') == [[44990, 3, 2], [0, 2, 'no day']]


def test_days_of_a_workbook_that_counts_from_1904(march, tmp_path): # the numbers are LibreOffice's
    m = book(tmp_path/'mac.xlsx', ['2024-01-01', '1/1/1904', '12/31/1903'], ['=A1+0', '=B1+0', '=IFERROR(C1+0,"none")'], ['="12:00"+0', '=COUNTIF(A2:B2,"1/1/2024")', '="5-Mar"+0'], day_one_1904=True)
    assert m.values('A2:C3') == [[43830, 0, 'none'], [.5, 1, 44990 - 1462]]


def test_what_day_a_number_is_keeps_its_saved_result_from_1904(tmp_path):
    "The engine counts from 1900 and would often give the same month"
    def file(name, mac, value): # with the result that a spreadsheet program saves
        wb = openpyxl.Workbook()
        wb.active.title = 's'
        if mac: wb.epoch = CALENDAR_MAC_1904
        wb.active.append([value, '=MONTH(A1)', '=A1+1'])
        wb.save(tmp_path/name)
        with zipfile.ZipFile(tmp_path/name) as z: parts = {n: z.read(n) for n in z.namelist()}
        sheet = 'xl/worksheets/sheet1.xml'
        parts[sheet], n = re.subn(rb'(<f>MONTH\(A1\)</f>)<v(></v>| ?/>)', rb'\1<v>1</v>', parts[sheet])
        assert n == 1
        with zipfile.ZipFile(tmp_path/name, 'w') as z: [z.writestr(n, d) for n, d in parts.items()]
        return SheetModule.load(tmp_path/name)
    new, mac = file('new.xlsx', False, 45312), file('mac.xlsx', True, 43850) # 21 January 2024
    assert new.values('B1') == mac.values('B1') == 1
    later = torch.tensor([[31.]])
    assert new({'A1': 45312 + later}).values('B1') == 2
    with pytest.raises(SheetError, match='MONTH'): mac({'A1': 43850 + later}).values('B1')
    assert mac({'A1': 43850 + later}).values('C1') == 43882
