"Each promise of the page is held by a test that is there"
import re
from pathlib import Path
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = nbformat.read(ROOT/'nbs'/'book'/'11_promises.ipynb', 4)
NAMED = re.findall(r"'([\w/]+\.py)',\s*'(test_\w+)'", '\n'.join(c.source for c in PAGE.cells))


def test_the_page_names_its_tests(): assert len(NAMED) >= 28 and len(NAMED) == len(set(NAMED))


@pytest.mark.parametrize('file, test', NAMED)
def test_the_named_test_is_there(file, test):
    assert re.search(rf'^def {test}\(', (ROOT/'tests'/file).read_text(encoding='utf-8'), re.M)
