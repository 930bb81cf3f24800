"Tests that all chapters' exercises share: right answers pass, wrong ones get the hint that helps"
from pathlib import Path
import pytest
from ddl_lesson8.book.exercises import check_exercise, check_sheet_exercise
from ddl_lesson8.sheets.book import Book
from ddl_lesson8.sheets.engine import Engine


def answer_tests(checks, right:list, wrong:list, prefix:str=''):
    "Two tests for a module of checkers: of (answer, checker) and of (answer, checker, hint)"
    def outcome(answer, checker): return check_exercise(answer, getattr(checks, prefix + checker))

    @pytest.mark.parametrize('answer, checker', right, ids=[f'{k} {c}' for k, (_, c) in enumerate(right)])
    def accepted(answer, checker): assert outcome(answer, checker), outcome(answer, checker)

    @pytest.mark.parametrize('answer, checker, hint', wrong, ids=[f'{k} {c}' for k, (_, c, _) in enumerate(wrong)])
    def hinted(answer, checker, hint):
        said = outcome(answer, checker)
        assert said.state == 'not yet' and hint in said.hint, said
    return accepted, hinted


def sheet_judge(write, name:str, folder:Path):
    "A function that makes changes to a fresh sheet, as a reader would, and asks the checker of exercise `name`"
    write(book := Book())
    fresh = book.save(folder/'fresh.xlsx')
    def judge(changes:dict):
        Engine(fresh).change(changes).save(path := folder/f'{len(list(folder.iterdir()))}.xlsx')
        return check_sheet_exercise(name, path)
    return judge
