"""Make rendered pages readable: the story open, the proof one click away. Works on the HTML of Quarto and of smalldocs alike.

Each step takes a page as a BeautifulSoup tree and changes it in place; `polish` runs them all over a folder."""
import ast, base64, hashlib, io, json, re, shutil
from html import escape
from pathlib import Path
from bs4 import BeautifulSoup

WORDS_A_MINUTE, SECONDS_A_LINE = 180, 2  # of prose that a reader reads, of shown code
SHOWN_WIDTH = 780                         # of the column, in points; figures have at most twice as many
HERE = Path(__file__).resolve().parent
FAVICON = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#593196"/>'
           '<g fill="#fff"><path d="M6 6h6v6H6zm7 0h6v6h-6zm7 0h6v6h-6z"/><path opacity=".55" d="M6 13h6v6H6zm7 0h6v6h-6zm7 0h6v6h-6z"/>'
           '<path opacity=".25" d="M6 20h6v6H6zm7 0h6v6h-6zm7 0h6v6h-6z"/></g></svg>\n')


def element(soup, html:str):
    "The first element of a piece of HTML"
    return BeautifulSoup(html, 'html.parser').find()


def depth(name:str)->str:
    "The way from a page back to the root of the site"
    return '../' * name.count('/')


# ---------------------------------------------------------------- code and reference

def signature_blocks(soup)->list:
    "What nbdev documents: (heading with the name, element with the signature, all elements of the block)"
    found = []
    for h in soup.select('main h3, main h4, main h2'):
        pre = h.find_next_sibling(class_='code-copy-outer-scaffold') or h.find_next_sibling(class_='sourceCode')
        home = h.find_parent(class_='cell-output-markdown') or h.find_parent(class_='cell-output')
        if pre and home and re.match(r'\s*(@.*\n)*(async )?(def|class) \w', pre.get_text()): found.append((h, pre, home))
    return found


def clean_signature(text:str, name:str)->str:
    "A signature as a person would write it: a class as a class, types by their short names, nothing about NoneType"
    text = re.sub(r':\s*NoneType\b', '', text)
    text = re.sub(r'=<factory>', '', text)
    text = re.sub(r'\(\s*\*args, \*\*kwargs\s*\)', '', text).replace('(\n    args:VAR_POSITIONAL,\n    kwargs:VAR_KEYWORD\n)', '')
    text = re.sub(r'\bddl_lesson8\.(?:\w+\.)+|\bpathlib\.|\bpandas\.core\.\w+\.', '', text)
    text = text.replace('torch._C.Generator', 'torch.Generator')
    text = re.sub(r'\btorch\.nn\.modules\.\w+\.', 'nn.', text).replace(':function=', '=')
    if name[:1].isupper() and '.' not in name: text = re.sub(r'^def ', 'class ', text).replace(')->None', ')')
    return text.strip()


def one_line(text:str)->str:
    "A signature without its comments, on one line"
    text = re.sub(r'#[^\n]*', '', text)
    text = re.sub(r'\s+', ' ', text).replace('( ', '(').replace(', )', ')').replace(' )', ')')
    return re.sub(r'^(def|class) ', '', text).rstrip(' :')


def entry(soup, h, pre, home):
    "One line of the reference, which unfolds into the whole signature"
    name = h.get_text().strip()
    text = clean_signature(pre.get_text(), name)
    source = home.find('a', string='source')
    said = ' '.join(' '.join(p.get_text().split()) for p in home.find_all('p') if not p.find('a', string='source'))
    made = element(soup, '<details class="ref-entry"><summary><code></code> <span class="said"></span></summary>'
                         '<div class="sourceCode"><pre class="sourceCode"><code class="sourceCode"></code></pre></div></details>')
    made['id'], made['data-name'] = h.get('id') or h.get('data-anchor-id') or name, name
    line = re.sub(r'^\w+\((self(, )?)?', f'{name}(', one_line(text)) if '.' in name else one_line(text)  # a method with its class
    made.summary.code.string, made.summary.find(class_='said').string = line, said
    made.find('pre').code.string = text
    for table in home.find_all('table'): made.append(table.extract())
    if source: made.append(element(soup, f'<p><a href="{source["href"]}">source</a></p>'))
    return made


def place(soup, h, home):
    "Where links to a function arrive whose source stands open"
    made = element(soup, '<a class="place"></a>')
    made['id'], made['data-name'] = h.get('id') or h.get_text().strip(), h.get_text().strip()
    made['data-said'] = ' '.join(' '.join(p.get_text().split()) for p in home.find_all('p') if not p.find('a', string='source'))
    return made


def shown_source(soup)->dict:
    "The name of each function or class whose source stands open, with its cell"
    found = {}
    for d in soup.select('main details.code-fold[open]'):
        if 'Exported source' not in d.summary.get_text(): continue
        cell = element(soup, '<div class="lesson-source"></div>')
        d.summary.extract()
        d.wrap(cell)
        d.unwrap()
        for m in re.finditer(r'^(?:async )?(?:def|class) (\w+)', cell.get_text(), re.M): found.setdefault(m[1], cell)
        for m in re.finditer(r'^def (\w+)\(\s*self:\s*\'?(\w+)', cell.get_text(), re.M): found.setdefault(f'{m[2]}.{m[1]}', cell)
    return found


def gather_reference(soup, chapter:bool):
    "A lesson function stands once, as its source; any other is a line of the reference, at the end of a chapter, in place on a tool's page"
    shown, entries = shown_source(soup), []
    for h, pre, home in signature_blocks(soup):
        name = h.get_text().strip()
        cell = home.find_parent(class_='cell') or home
        section = h.find_parent('section', class_=re.compile('level[345]'))
        if name in shown: home.replace_with(place(soup, h, home))
        else:
            line = entry(soup, h, pre, home)
            entries.append(line)
            if chapter: home.extract()
            else: home.replace_with(line)
        if section is not None and section.get('id') in (h.get('id'), None): section.unwrap()
        if cell.name and not cell.get_text(strip=True) and not cell.find(['img', 'a', 'svg']): cell.extract()
    if chapter and entries:
        fold = element(soup, '<details class="reference" id="reference"><summary><h2>Reference</h2> <small></small></summary></details>')
        fold.summary.small.string = f'{len(entries)} of the library’s functions and classes that this page defines'
        fold.extend(entries)
        end_of_story(soup).append(fold)


def end_of_story(soup):
    "The main part of a page; what is appended stands before the links to other pages"
    main = soup.select_one('main')
    nav = main.select_one('nav.page-navigation')
    if not nav: return main
    home = element(soup, '<div class="after-story"></div>')
    nav.insert_before(home)
    return home


def fold_library(soup):
    "Everything from the heading 'For the library' on, closed"
    h = next((h for h in soup.select('main h2') if h.get_text(strip=True) == 'For the library'), None)
    if h is None: return
    start = h.find_parent('section') or h
    inside = [s for s in start.find_next_siblings() if s.name and 'page-navigation' not in s.get('class', [])]
    fold = element(soup, '<details class="library"><summary></summary></details>')
    start.insert_before(fold)
    fold.summary.append(h.extract())
    h['class'] = [c for c in h.get('class', []) if c != 'anchored']  # a link inside a summary could not be reached
    h['id'] = h.get('id') or 'for-the-library'
    if start.name == 'section': start['id'] = start.get('id', 'for-the-library'); h.attrs.pop('id', None)
    for s in ([start] if start is not h else []) + inside: fold.append(s.extract())


def fold_claims(soup):
    "The code that states a claim, closed; a fold says what it hides"
    for pre in soup.select('main pre.cell-code, main .cell-code pre'):
        if not re.search(r'^(display\()?(claim|show_claims)\(', pre.get_text(), re.M) or pre.find_parent('details'): continue
        box = pre.find_parent(class_='code-copy-outer-scaffold') or pre.find_parent(class_='sourceCode') or pre
        box.wrap(element(soup, '<details class="code-fold"><summary>Code</summary></details>'))
    for s in soup.select('main details.code-fold > summary'):
        if s.get_text(strip=True) == 'Code': s.string = 'Show the code'
        elif s.get_text(strip=True) == 'A solution': s['class'] = 'solution' # as large as those in prose


def join_folds(soup):
    "Folded cells in a row, with nothing shown between them, are one fold"
    def lone(cell): # the fold of a cell that shows nothing else
        folds = cell.find_all('details', class_='code-fold', recursive=False)
        return folds[0] if len(folds) == 1 and len(cell.find_all(recursive=False)) == 1 else None
    for cell in soup.select('main .cell'):
        after = cell.find_next_sibling()
        if (fold := lone(cell)) is None or after is None or 'cell' not in after.get('class', []): continue
        into = after.find(recursive=False)
        if into is None or 'code-fold' not in into.get('class', []) or fold.summary.get_text() != into.summary.get_text(): continue
        into.summary.extract()
        into.insert_before(fold.extract())
        for part in list(into.contents): fold.append(part.extract())
        into.extract()
        cell.extract()


def plain_texts(soup):
    "A text that a cell returns is shown as text, without Python's quotation marks, and wraps"
    for code in soup.select('main .cell-output pre > code'):
        text = code.get_text().strip()
        if not re.fullmatch(r"'.*'|\".*\"", text): continue
        try: code.string = ast.literal_eval(text)
        except (SyntaxError, ValueError): continue
        code.parent['class'] = 'said-text'


# ---------------------------------------------------------------- figures, tables, mathematics

def figures_as_files(soup, name:str, site:Path):
    "Pictures leave the page for files of their own, no larger than needed, loaded when they come near"
    from PIL import Image
    for img in soup.select('main img[src^="data:image/"]'):
        kind, data = re.match(r'data:image/(\w+)[^,]*;base64,(.*)', img['src'], re.S).groups()
        data = base64.b64decode(data)
        picture = Image.open(io.BytesIO(data))
        broad = picture.width > 2 * picture.height or picture.width > 1300 and picture.width > 1.4 * picture.height
        if picture.width > 2 * SHOWN_WIDTH:
            picture = picture.resize((2 * SHOWN_WIDTH, round(picture.height * 2 * SHOWN_WIDTH / picture.width)), Image.LANCZOS)
            out = io.BytesIO()
            picture.save(out, kind, optimize=True)
            data = out.getvalue()
        path = Path('figures')/f'{Path(name).stem}-{hashlib.sha256(data).hexdigest()[:10]}.{kind}'
        (site/path).parent.mkdir(exist_ok=True)
        (site/path).write_bytes(data)
        img['src'] = depth(name) + path.as_posix()
        if not img.get('width'): img['width'], img['height'] = picture.width // 2, picture.height // 2  # two of its points to a pixel: one size of type everywhere
        if broad: img['class'] = [*img.get('class', []), 'broad']  # scrolls on a phone, where it would be too small
    for img in soup.select('main figure img[src^="images/"]'): img['class'] = [*img.get('class', []), 'broad']  # drawn for the whole column
    for img in soup.select('main img'): img['loading'] = 'lazy'


def live_figures(soup, name:str):
    "The picture of a live figure moves into its element, which stands where the picture stood"
    for tag in soup.select('main live-figure[src]'):
        cell = tag.find_parent(class_='cell') or tag.parent
        pictures = [img for img in cell.select('img') if not img.find_parent('live-figure')]
        own = tag.find_parent(class_='cell-output')
        tag.extract()
        if own is not None and not own.get_text(strip=True) and not own.find('img'): own.extract()
        if not pictures: continue
        tag['src'] = depth(name) + tag['src']
        pictures[-1].wrap(tag)


def caption_figures(soup):
    "A caption is text with emphasis and code, whichever way the renderer passes it on"
    for c in soup.select('main figcaption'):
        if c.find(): continue
        text = re.sub(r'\*([^*]+)\*', r'<em>\1</em>', re.sub(r'`([^`]+)`', r'<code>\1</code>', c.decode_contents()))
        c.clear()
        c.append(BeautifulSoup(text, 'html.parser'))


def mathematics(soup):
    "Formulas as MathML, which needs nothing from another host"
    from latex2mathml.converter import convert
    for span in soup.select('span.math'):
        tex = re.sub(r'^\\[\[(]|\\[\])]$', '', span.get_text().strip()).strip()
        block = 'display' in span.get('class', [])
        made = element(soup, convert(tex, display='block' if block else 'inline'))
        made['aria-label'] = tex
        span.replace_with(made)
    for e in soup.select('script[src*="katex"], link[href*="katex"], script[src*="mathjax" i], script[src*="polyfill"]'): e.extract()


def tidy_tables(soup):
    """Tables as a printer would set them: a number stays beside its spread or its range, a date or a shape whole; pandas' with one line of headings
    where one will do, columns of words to the left, of numbers to the right"""
    for text in soup.select_one('main').find_all(string=re.compile(r'\d (±|to) [-\d]')):
        if text.find_parent('td'): text.replace_with(re.sub(r'(?<=\d) (±|to) (?=[-\d])', '\xa0\\1\xa0', text))
    for style in soup.select('main style[scoped]'): style.extract()  # pandas' own, one for each table
    for text in soup.select_one('main').find_all(string=re.compile(r'(?=\w*_)\w{30}')):  # a long name may break behind its underscores
        if text.find_parent('td'): text.replace_with(BeautifulSoup(escape(text).replace('_', '_<wbr/>'), 'html.parser'))
    for cell in soup.select('main td'):
        if re.fullmatch(r'\d{4}-\d\d-\d\d|\([\d, ]*\)', cell.get_text(strip=True)): cell['class'] = [*cell.get('class', []), 'whole']
    for table in soup.select('main table.dataframe'):
        rows = table.select('thead > tr')
        if len(rows) == 2:
            above, below = (row.find_all(['th', 'td'], recursive=False) for row in rows)
            both = [(a.get_text(strip=True), b.get_text(strip=True)) for a, b in zip(above, below)]
            if len(above) == len(below) and not any(c.get('colspan') for c in above) and all(not a or not b for a, b in both):
                for cell, (a, b) in zip(above, both): cell.string = a or b
                rows[1].extract()
        body = [row.find_all('td', recursive=False) for row in table.select('tbody > tr')]
        last = table.select('thead > tr')[-1].find_all('th', recursive=False) if rows else []
        if not body or len({len(cells) for cells in body}) > 1: continue
        for k in range(-len(body[0]), 0):
            column = [cells[k] for cells in body]
            words = sum(bool(re.search(r'[^\W\d_]{2}|^\D*[^\W\d_]\D*$|[=^*&!"]', re.sub('NaN|inf|\xa0to\xa0', '', c.get_text()))) for c in column)
            if 2 * words < len(column): continue
            for c in column + last[k:][:1]: c['class'] = [*c.get('class', []), 'words']
        for c in last[:max(0, len(last) - len(body[0]))]: c['class'] = [*c.get('class', []), 'words']


def scroll_tables(soup):
    "Wide tables scroll in a box that shows when there is more; one of many columns is marked"
    for table in soup.select('main table'):
        if len(table.select_one('tr').find_all(['th', 'td'])) > 4: table['class'] = [*table.get('class', []), 'many']  # on a phone it scrolls anyway
        if not table.find_parent(class_='table-scroll'): table.wrap(element(soup, '<div class="table-scroll" tabindex="0"></div>'))


# ---------------------------------------------------------------- the frame of a page

def contents(soup)->list:
    "Sections of the story, for the list of contents: (level, id, text)"
    found = []
    for h in soup.select('main h2, main h3'):
        home = h.find_parent('details')
        if home is not None and (h.parent.name != 'summary' or home.find_parent('details')): continue
        if h.find_parent(class_=['cell-output', 'quarto-listing']) or h.get('id') == 'toc-title': continue
        place = h.get('id') or h.get('data-anchor-id') or (h.find_parent(['section', 'details']) or {}).get('id')
        if place: found.append((int(h.name[1]), place, h.get_text().strip()))
    return found


def contents_list(soup):
    "The list of contents: sections only, in the margin of a wide window, folded under the title on a phone"
    parts = contents(soup)
    items = ''.join(f'<li class="toc-{level}"><a class="nav-link" href="#{place}" data-scroll-target="#{place}"></a></li>' for level, place, _ in parts)
    def filled():
        ul = element(soup, f'<ul>{items}</ul>')
        for a, (_, _, text) in zip(ul.find_all('a'), parts): a.string = text
        return ul
    toc = soup.select_one('#TOC')
    if toc:
        for ul in toc.find_all('ul', recursive=False): ul.extract()
        if parts: toc.append(filled())
    if len(parts) > 2 and (title := soup.select_one('#title-block-header')):
        fold = element(soup, '<details class="toc-phone"><summary>On this page</summary></details>')
        fold.append(filled())
        title.insert_after(fold)


def visible(e)->bool: return not e.find_parent('details') and not e.find_parent('nav')


def minutes(soup)->int:
    "How long the open part of a page takes to read"
    words = sum(len(p.get_text().split()) for p in soup.select('main p, main li, main h2, main h3, main figcaption, main td') if visible(p))
    lines = sum(len(p.get_text().strip().splitlines()) for p in soup.select('main pre') if visible(p))
    return max(1, round(words / WORDS_A_MINUTE + lines * SECONDS_A_LINE / 60))


def reading_time(soup):
    "The time that a chapter takes, beside its links under the title"
    if (line := soup.select_one('main p.badges')) is None: return
    n = minutes(soup)
    line.insert(0, element(soup, f'<span class="reading-time">{n} minute{"s" * (n > 1)}</span>'))
    if title := soup.select_one('#title-block-header'): title.append(line.extract())


def frame(soup, name:str):
    "One theme, an icon, our own script, a way back to the top"
    up = depth(name)
    for e in soup.select('script:not([src])'):
        if 'smalldocs-scheme' in e.get_text(): e.extract()
    soup.head.insert(1, element(soup, "<script>(function(){var d=document.documentElement,s=null;try{s=localStorage.getItem('scheme')}catch(e){}"
        "d.dataset.bsTheme=s||(matchMedia('(prefers-color-scheme: dark)').matches?'dark':'light');"
        "d.classList.toggle('quarto-dark',d.dataset.bsTheme==='dark')})()</script>"))
    soup.head.append(element(soup, f'<link rel="icon" type="image/svg+xml" href="{up}favicon.svg">'))
    soup.head.append(element(soup, f'<script src="{up}site.js" defer></script>'))
    for e in soup.select('link[href*="bootstrap-icons"], script[src*="fuse"]'): e.extract()  # five signs of our stylesheet, a search of our own
    if not soup.select_one('.quarto-color-scheme-toggle') and (home := soup.select_one('.sidebar-header, .navbar')):
        home.append(element(soup, '<button type="button" class="scheme-toggle" aria-label="Light or dark" title="Light or dark">◐</button>'))
    home = soup.select_one('#quarto-content') or soup.body
    home.append(element(soup, f'<footer class="site-footer"><a href="{up}licences.html">Licences of what this site carries</a></footer>'))
    soup.body.append(element(soup, '<a class="to-top" href="#" aria-label="Back to the top">↑</a>'))


def heal_links(soup, name:str, places:dict):
    "A link that nbdev made from a name, to a place that no page has, becomes plain code again"
    for a in soup.select('main a[href*="#"]'):
        path, mark = a['href'].split('#', 1)
        if re.match(r'\w+:', path) or a.find('code') is None or a.get_text() != a.code.get_text(): continue
        target = name if not path else (Path('/')/Path(name).parent/path).resolve().relative_to('/').as_posix()
        if target in places and mark not in places[target]: a.unwrap()


# ---------------------------------------------------------------- search

def search_entries(soup, name:str)->list:
    "What search finds on a page: each section's prose; each function with what it does"
    title = (soup.select_one('h1.title') or soup.title).get_text().strip()
    if soup.select_one('main') is None: return []
    found, section, place, words = [], '', '', []
    def close():
        text = re.sub(r'\s+', ' ', ' '.join(words)).strip()
        if text or not section: found.append(dict(title=title, section=section, href=f'{name}#{place}' if place else name, text=text[:3000], kind='prose'))
    for e in soup.select('main h2, main h3, main p, main li, main dt, main dd, main figcaption, main .description, main details.ref-entry'):
        if e.find_parent('nav') or e.find_parent(class_='toc-phone') or e.find_parent(attrs={'data-search': True}): continue
        if e.name in ('h2', 'h3'):
            close()
            section, words = e.get_text().strip(), []
            place = e.get('id') or e.get('data-anchor-id') or (e.find_parent(['section', 'details']) or {}).get('id', '')
        elif 'ref-entry' in e.get('class', []):
            found.append(dict(title=title, section=e['data-name'], href=f'{name}#{e["id"]}',
                              text=e.summary.get_text(' ', strip=True), kind='reference'))
        elif not e.find_parent(class_='ref-entry') and not e.find_parent(['p', 'li', 'dd']) and 'badges' not in e.get('class', []): words.append(e.get_text(' '))
    close()
    for e in soup.select('main [data-search]'):  # glossary: a term and its other names
        found.append(dict(title=title, section=e['data-term'], href=f'{name}#{e["id"]}', text=e.get_text(' ', strip=True), also=e['data-search'], kind='term'))
    return found


# ---------------------------------------------------------------- pages made of other pages

def thumbnail(src:str, site:Path)->str:
    "A small copy of a picture for a card, a third of the column wide on a fine screen"
    from PIL import Image
    if not src.endswith('.png') or not (site/src).exists(): return src
    small = Path('figures')/'small'/Path(src).name
    (site/small).parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(site/src)
    picture.thumbnail((2 * SHOWN_WIDTH // 3, 2 * SHOWN_WIDTH // 3))
    picture.save(site/small, optimize=True)
    return small.as_posix()


def chapter_cards(soup, soups:dict, site:Path):
    "The start page's table of chapters as cards, each with the first picture of its page"
    for table in soup.select('main table'):
        head = [th.get_text(strip=True) for th in table.select('thead th')]
        if head != ['chapter', 'you will see']: continue
        cards = element(soup, '<div class="chapters"></div>')
        for line in table.select('tbody tr'):
            link, text = line.a, line.select('td')[1].get_text()
            card = element(soup, f'<a href="{link["href"]}"><strong></strong><small></small></a>')
            card.strong.string, card.small.string = link.get_text(), text
            page = soups.get(link['href'])
            if page and (img := page.select_one('main figure img[src]')):
                picture = element(soup, f'<img src="{thumbnail(img["src"], site)}" loading="lazy"/>')
                picture['alt'] = img.get('alt') or f'A figure of the chapter: {link.get_text()}'
                card.insert(0, picture)
            cards.append(card)
        (table.find_parent(class_='table-scroll') or table).replace_with(cards)


def name_index(soups:dict):
    "The list of all public names: what each does, with a link to its entry or its source"
    home = next(((n, s.select_one('.name-index')) for n, s in soups.items() if s.select_one('.name-index')), None)
    if home is None: return
    up, found = depth(home[0]), {}
    for name, soup in soups.items():
        for e in soup.select('main details.ref-entry'):
            if '.' not in e['data-name']: found.setdefault(e['data-name'], (f'{up}{name}#{e["id"]}', e.summary.find(class_='said').get_text()))
        for a in soup.select('main a.place'): found.setdefault(a['data-name'], (f'{up}{name}#{a["id"]}', a.get('data-said', '')))
    home[1].clear()
    for title, (href, said) in sorted(found.items(), key=lambda t: t[0].lower()):
        line = element(soups[home[0]], f'<p><a href="{href}"><code></code></a> <span></span></p>')
        line.code.string, line.span.string = title, said
        home[1].append(line)
    home[1].insert(0, element(soups[home[0]], f'<p>{len(found)} names.</p>'))


# ---------------------------------------------------------------- all pages

def polish_page(soup, name:str, site:Path, chapter:bool):
    "All steps for one page, in their order"
    fold_claims(soup)
    gather_reference(soup, chapter)
    fold_library(soup)
    if (fold := soup.select_one('main details.library')) and (ref := soup.select_one('main details.reference')): fold.append(ref.extract())
    figures_as_files(soup, name, site)
    live_figures(soup, name)
    caption_figures(soup)
    mathematics(soup)
    join_folds(soup)
    plain_texts(soup)
    tidy_tables(soup)
    scroll_tables(soup)
    reading_time(soup)
    contents_list(soup)
    frame(soup, name)


def polish(site:Path, chapters:set):
    "Polish every page of a rendered site; `chapters` are the names of pages that tell a story"
    pages = {p.relative_to(site).as_posix(): p for p in sorted(site.rglob('*.html')) if not {'site_libs', 'live'} & set(p.relative_to(site).parts)}
    soups = {name: BeautifulSoup(p.read_text(encoding='utf-8'), 'html.parser') for name, p in pages.items()}
    for name, soup in soups.items(): polish_page(soup, name, site, Path(name).stem in chapters and '/' not in name)
    if 'index.html' in soups: chapter_cards(soups['index.html'], soups, site)
    name_index(soups)
    places = {name: {e['id'] for e in soup.select('[id]')} for name, soup in soups.items()}
    for name, soup in soups.items():
        heal_links(soup, name, places)
        pages[name].write_text(str(soup), encoding='utf-8')
    entries = [e for name, soup in soups.items() for e in search_entries(soup, name)]
    (site/'search.json').write_text(json.dumps(entries, ensure_ascii=False), encoding='utf-8')
    for unused in ('bootstrap-icons', 'fuse'): shutil.rmtree(site/'site_libs'/unused, ignore_errors=True)
    (site/'favicon.svg').write_text(FAVICON, encoding='utf-8')
    shutil.copy(HERE/'site.js', site/'site.js')
