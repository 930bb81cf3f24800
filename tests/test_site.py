"The step after rendering: what a reader of a page sees at once, and what is one click away."
import base64, io, json, sys
from pathlib import Path
import pytest

bs4 = pytest.importorskip('bs4')
pytest.importorskip('latex2mathml')
sys.path.insert(0, str(Path(__file__).resolve().parent.parent/'tools'))
import docs, polish


def png(width:int)->str:
    from PIL import Image
    out = io.BytesIO()
    Image.new('RGB', (width, 10)).save(out, 'png')
    return base64.b64encode(out.getvalue()).decode()


def doc(name:str, signature:str)->str:
    return (f'<div id="cell-1" class="cell"><div class="cell-output cell-output-display cell-output-markdown"><hr/><p><a href="https://e.org/x.py#L1">source</a></p>'
            f'<h3 id="{name}" class="anchored" data-anchor-id="{name}">{name}</h3><div class="code-copy-outer-scaffold"><div class="sourceCode"><pre class="sourceCode python">'
            f'<code>{signature}</code></pre></div></div><p><em>What it does</em></p></div></div>')


def source(code:str)->str:
    return ('<div class="cell"><details open="" class="code-fold"><summary>Exported source</summary><div class="code-copy-outer-scaffold"><div class="sourceCode">'
            f'<pre class="sourceCode python cell-code"><code>{code}</code></pre></div></div></details></div>')


def code(text:str, output:str='')->str:
    return f'<div class="cell"><div class="code-copy-outer-scaffold"><div class="sourceCode"><pre class="cell-code"><code>{text}</code></pre></div></div>{output}</div>'


CLAIM = code("claim('V1', 'x', [row('a')], 'holds', check=True)", '<div class="claim" id="claim-V1"><p>card</p></div>')
LESSON = doc('shown', 'def shown(x:int, device:NoneType=None)') + source('def shown(x): return x')
KEPT = doc('kept', 'def kept(    x:int, # a number\n)-&gt;int: # more')
FIGURE = f'<figure><p><img alt="a" src="data:image/png;base64,{png(2000)}"/></p><figcaption>See *this* `x`</figcaption></figure>'
PAGE = f'''<!doctype html><html><head><meta charset="utf-8"><title>T</title><script src="https://cdn.jsdelivr.net/npm/katex.js"></script></head><body>
<div class="sidebar-header"></div><nav id="TOC"><h2 id="toc-title">On this page</h2><ul><li>old</li></ul></nav>
<main><header id="title-block-header"><h1 class="title">A page</h1></header><p class="badges"><a href="x">Open</a></p>
<section id="one" class="level2"><h2 data-anchor-id="one">One</h2><p>{'word ' * 400}<span class="math inline">\\(x^2\\)</span></p>
{LESSON}{KEPT}{CLAIM}{FIGURE}
<table><tr><td>1</td></tr></table><p><a href="#nowhere"><code>_private</code></a> <a href="#one">good</a></p><live-sheet src="live/a.json"></live-sheet></section>
<section id="exercises" class="level2"><h2 data-anchor-id="exercises">Exercises</h2><p>Do it</p></section>
<section id="for-the-library" class="level2"><h2 data-anchor-id="for-the-library">For the library</h2><p>Options</p></section>
<section id="speed" class="level2"><h2 data-anchor-id="speed">Speed</h2><p>Fast</p></section>
<nav class="page-navigation">next</nav></main></body></html>'''


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    (folder/'page.html').write_text(PAGE, encoding='utf-8')
    (folder/'tool.html').write_text(PAGE, encoding='utf-8')
    polish.polish(folder, {'page'})
    return folder


@pytest.fixture
def page(site): return bs4.BeautifulSoup((site/'page.html').read_text(encoding='utf-8'), 'html.parser')


def test_a_lesson_function_stands_once_as_its_source(page):
    assert page.get_text().count('def shown') == 1 and 'Exported source' not in page.get_text()
    assert page.select_one('.lesson-source pre') and not page.select_one('.lesson-source').find_parent('details')
    assert page.find(id='shown')  # links still arrive


def test_other_functions_are_lines_of_a_closed_reference(page):
    line = page.select_one('details.reference details.ref-entry#kept')
    assert line.summary.get_text() == 'kept(x:int)->int What it does'
    assert '# a number' in line.pre.get_text() and line.find('a', string='source')
    assert not page.select_one('details.reference').has_attr('open')


def test_a_tool_page_keeps_its_reference_in_place(site):
    page = bs4.BeautifulSoup((site/'tool.html').read_text(encoding='utf-8'), 'html.parser')
    assert page.select_one('#one details.ref-entry#kept') and not page.select_one('details.reference')


def test_everything_for_the_library_is_folded(page):
    fold = page.select_one('details.library')
    assert not fold.has_attr('open') and fold.find(id='speed') and fold.find('p', string='Options') and fold.summary.h2
    assert not page.find(id='exercises').find_parent('details')
    assert page.select_one('nav.page-navigation').find_parent('details') is None


def test_the_code_of_a_claim_is_folded_and_its_card_is_not(page):
    assert page.find('code', string=lambda s: s and s.startswith('claim(')).find_parent('details')
    assert not page.find(id='claim-V1').find_parent('details')


def test_figures_are_files_of_at_most_twice_their_size(page, site):
    from PIL import Image
    img = page.find('img')
    assert img['loading'] == 'lazy' and Image.open(site/img['src']).width == 2 * polish.SHOWN_WIDTH
    assert str(page.figcaption) == '<figcaption>See <em>this</em> <code>x</code></figcaption>'


def test_mathematics_needs_no_other_host(page):
    assert page.find('math') and 'jsdelivr' not in str(page)


def test_contents_list_has_sections_only(page):
    assert [a.get_text() for a in page.select('#TOC a')] == ['One', 'Exercises', 'For the library']
    assert [a['href'] for a in page.select('.toc-phone a')] == ['#one', '#exercises', '#for-the-library']


def test_reading_time_counts_what_is_open(page):
    assert page.select_one('.reading-time').get_text() == '2 minutes'


def test_links_to_private_names_are_plain_code_and_others_stay(page):
    assert page.find('code', string='_private').find_parent('a') is None and page.find('a', string='good')


def test_live_sheets_and_tables(page):
    assert page.find('live-sheet')['src'] == 'live/a.json' and page.table.parent['class'] == ['table-scroll']


def test_search_has_prose_by_section_and_functions_apart(site):
    entries = [e for e in json.loads((site/'search.json').read_text()) if e['href'].startswith('page')]
    assert {e['section'] for e in entries if e['kind'] == 'reference'} == {'kept'}
    assert 'def ' not in ' '.join(e['text'] for e in entries if e['kind'] == 'prose')


def test_signatures_say_class_and_never_nonetype():
    assert polish.clean_signature('def Thing(\n    x:int=1,\n    device:NoneType=None\n)', 'Thing') == 'class Thing(\n    x:int=1,\n    device=None\n)'
    for empty in ('(*args, **kwargs)', '(\n    *args, **kwargs\n)'): assert polish.clean_signature('def Thing' + empty, 'Thing') == 'class Thing'


def test_frame(page, site):
    assert page.select_one('link[rel=icon]')['href'] == 'favicon.svg' and (site/'site.js').exists() and page.select_one('.to-top') and page.select_one('.scheme-toggle')


def test_the_start_page_shows_chapters_as_cards_with_their_first_picture():
    soup = lambda s: bs4.BeautifulSoup(f'<main>{s}</main>', 'html.parser')
    index = soup('<table><thead><tr><th>chapter</th><th>you will see</th></tr></thead><tbody><tr><td><a href="a.html">A</a></td><td>much</td></tr></tbody></table>')
    polish.chapter_cards(index, {'a.html': soup('<figure><img src="figures/a.png"/></figure>')}, Path('no_site'))
    assert index.select_one('.chapters a[href="a.html"] img')['src'] == 'figures/a.png' and not index.table


def test_the_index_of_names_leads_to_entries_and_to_sources(site):
    soups = {n: bs4.BeautifulSoup((site/f'{n}').read_text(encoding='utf-8'), 'html.parser') for n in ('page.html',)}
    soups['all.html'] = bs4.BeautifulSoup('<main><div class="name-index"></div></main>', 'html.parser')
    polish.name_index(soups)
    found = {a.get_text(): a['href'] for a in soups['all.html'].select('a')}
    assert found == {'kept': 'page.html#kept', 'shown': 'page.html#shown'}  # by name, not by place: a class keeps its capitals


def test_readme_links_lead_to_files_of_the_repository():
    import re
    root = Path(__file__).resolve().parent.parent
    links = re.findall(r'\]\(([^)#]+)', (root/'README.md').read_text(encoding='utf-8'))
    local = [x for x in links if not x.startswith('http')]
    assert local and all((root/x).exists() for x in local), [x for x in local if not (root/x).exists()]


def test_the_list_of_mutants_has_sixty_over_all_wings():
    root = Path(__file__).resolve().parent.parent
    mutants = json.loads((root/'tools'/'mutants.json').read_text(encoding='utf-8'))
    assert len(mutants) >= 60 and {m['module'].split('.')[0] for m in mutants if '.' in m['module']} == {'book', 'data', 'sheets', 'train'}
    assert all(m['old'] != m['new'] for m in mutants)


def soup(html:str): return bs4.BeautifulSoup(f'<main>{html}</main>', 'html.parser')


def test_folds_in_a_row_are_one_fold():
    fold = lambda text: f'<details class="code-fold"><summary>Show the code</summary><pre>{text}</pre></details>'
    page = soup(f'<div class="cell">{fold("a")}</div>\n<div class="cell">{fold("b")}</div>\n<div class="cell">{fold("c")}<p>shown</p></div><div class="cell">{fold("d")}</div>')
    polish.join_folds(page)
    assert [[p.get_text() for p in d.find_all('pre')] for d in page.find_all('details')] == [['a', 'b', 'c'], ['d']]
    assert page.p.parent.find('pre').get_text() == 'a' and len(page.find_all('summary')) == 2


def test_a_text_that_a_cell_returns_has_no_quotation_marks():
    page = soup("<div class='cell-output'><pre><code>'it\\'s 71%'</code></pre><pre><code>('a', 'b')</code></pre><pre><code>'a' + 'b'</code></pre></div>")
    polish.plain_texts(page)
    assert [p.get_text() for p in page.find_all('pre')] == ["it's 71%", "('a', 'b')", "'a' + 'b'"]


def test_a_table_has_one_line_of_headings_and_words_to_the_left():
    page = soup('<table class="dataframe"><thead><tr><th></th><th>who</th><th>loss</th></tr><tr><th>step</th><th></th><th></th></tr></thead>'
                '<tbody><tr><th>0</th><td>Ann</td><td>1e-07</td></tr><tr><th>1</th><td>Bob</td><td>NaN</td></tr></tbody></table>')
    polish.tidy_tables(page)
    assert [[c.get_text() for c in row.find_all('th')] for row in page.select('thead tr')] == [['step', 'who', 'loss']]
    assert [c.get_text() for c in page.select('.words')] == ['step', 'who', 'Ann', 'Bob']


def test_a_number_stays_beside_its_spread_and_a_long_name_may_break():
    page = soup('<style scoped></style><table class="dataframe"><thead><tr><th></th><th>8</th></tr></thead><tbody><tr><th>a</th><td>+0.18 ± 0.03</td></tr>'
                '<tr><th>b</th><td>0.8 to 0.9</td></tr><tr><th>c</th><td>best</td></tr></tbody></table><table><tr><td>test_a_very_long_name_of_a_test_that_holds</td></tr></table>')
    polish.tidy_tables(page)
    cells = [c.get_text() for c in page.select('td')]
    assert cells == ['+0.18\xa0±\xa00.03', '0.8\xa0to\xa00.9', 'best', 'test_a_very_long_name_of_a_test_that_holds']
    assert not page.select('.words:not(thead th)') and not page.style and len(page.select('td wbr')) == 9


def test_a_signature_has_short_names():
    given = 'def Fit(data:ddl_lesson8.train.batches.Data|None, net:torch.nn.modules.module.Module, path:str|pathlib.Path, loss:function=mse_loss)->None'
    assert polish.clean_signature(given, 'Fit') == 'class Fit(data:Data|None, net:nn.Module, path:str|Path, loss=mse_loss)'


def test_a_page_has_links_and_pictures_but_no_sentence_beside_hidden_code(tmp_path, monkeypatch):
    assert docs.local_links('a [[`Thing`](https://e.org/page.html#thing)](01_page.ipynb).', 0, 'https://e.org/') == 'a [`Thing`](page.html#thing).'
    empty = dict(output_type='display_data', metadata={}, data={'text/plain': '<Figure size 640x480 with 0 Axes>'})
    cells = [dict(cell_type='markdown', source=s) for s in (f'{docs.BESIDE_CODE}\nhidden', 'shown')] + [dict(cell_type='code', source='1', outputs=[empty])]
    monkeypatch.setattr(docs, 'proc', tmp_path)
    (tmp_path/'20_page.ipynb').write_text(json.dumps(dict(cells=cells)), encoding='utf-8')
    docs.rename(tmp_path/'20_page.ipynb', '', 'https://e.org/a/b')
    found = json.loads((tmp_path/'page.ipynb').read_text(encoding='utf-8'))['cells']
    assert [c['source'] for c in found] == ['shown', '1'] and found[1]['outputs'] == []
