"Build the site into _docs/: with Quarto when it is on PATH, else with smalldocs, both from the one _quarto.yml."
import argparse, json, os, re, shutil, subprocess, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from polish import polish
import live

root = Path(__file__).resolve().parent.parent
proc, site = root/'_proc', root/'_docs'


def plain_name(name:str)->str: return re.sub(r'^\d+[a-z]?_', '', name)


def is_chapter(nb:Path)->bool:
    "Whether a notebook tells a story of the lecture: those numbered 01 to 13"
    return nb.parent.name in ('nbs', '_proc') and bool(re.match(r'0\d|1[0-3]', nb.name))


def local_links(text:str, depth:int, site_url:str)->str:
    "Links of a page that stay inside the site: nbdev's absolute ones, and numbered notebooks"
    if site_url: text = text.replace(site_url, '../' * depth)
    text = re.sub(r'\[(\[`[^`\]]+`\]\([^)\s]+\))\]\([^)\s]+\)', r'\1', text)  # nbdev links a name that is a link already
    return re.sub(r'((?:\]\(|href=")(?:\.\./|\w+/)*)\d+[a-z]?_(\w+)\.ipynb', r'\1\2.html', text)


def badges(nb:Path, repo_url:str)->dict:
    "A cell with links to run a chapter, to download it, and to get the workbook"
    repo = '/'.join(repo_url.rstrip('/').split('/')[-2:])
    links = [(f'https://colab.research.google.com/github/{repo}/blob/main/nbs/{nb.name}', '', 'Open in Colab'),
             (f'notebooks/{nb.name}', ' download', 'Download this notebook'), ('lesson8.xlsx', ' download', 'Download lesson8.xlsx')]
    html = ' '.join(f'<a class="pill" href="{href}"{how}>{text}</a>' for href, how, text in links)
    return dict(cell_type='markdown', metadata={}, source=f'<p class="badges">{html}</p>')


BESIDE_CODE = '<!-- beside the code -->'  # begins a cell that explains library code which a page does not show
FIGURE = 'application/vnd.live-figure'  # under which `LiveFigure` saves its description


def is_empty_figure(output:dict)->bool:
    "Whether an output is the name of a figure that shows nothing"
    said = output.get('data', {})
    return set(said) == {'text/plain'} and bool(re.fullmatch(r'<Figure size \S+ with \d+ Axes>', ''.join(said['text/plain'])))


def figures_apart(cell:dict, page:str):
    "The description of a live figure leaves its output for a file; an element behind the picture names that file"
    for o in [o for o in cell.get('outputs', []) if FIGURE in o.get('data', {})]:
        kept = json.loads(''.join(o['data'].pop(FIGURE)))
        file = proc/'live'/f'{page}-{kept["name"]}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(kept['spec'], separators=(',', ':'), ensure_ascii=False), encoding='utf-8')
        tag = f'<live-figure src="live/{file.name}"></live-figure>'
        cell['outputs'].append(dict(output_type='display_data', metadata={}, data={'text/html': tag}))


def rename(nb:Path, site_url:str, repo_url:str):
    "Give a staged notebook the name that nbdev's links use, and make its links local"
    content = json.loads(nb.read_text(encoding='utf-8').replace('__main__.', ''))  # where nbdev defined what it documents
    depth = len(nb.relative_to(proc).parts) - 1
    for c in content['cells']: c['source'] = ''.join(c['source'])
    content['cells'] = [c for c in content['cells'] if not c['source'].startswith(BESIDE_CODE)]
    for c in content['cells']:
        if c['cell_type'] == 'markdown': c['source'] = local_links(c['source'], depth, site_url)
        if c['cell_type'] == 'raw': c['source'] = re.sub(r'^output-file:.*\n', '', c['source'], flags=re.M)
        figures_apart(c, plain_name(nb.stem))
        if 'outputs' in c: c['outputs'] = [o for o in c['outputs'] if not is_empty_figure(o)]
        for data in (o.get('data', {}) for o in c.get('outputs', [])):
            for kind in data.keys() & {'text/markdown', 'text/html'}: data[kind] = local_links(''.join(data[kind]), depth, site_url)
    if is_chapter(nb): content['cells'].insert(1, badges(nb, repo_url))
    nb.unlink()
    nb.with_name(plain_name(nb.name)).write_text(json.dumps(content), encoding='utf-8')


def fresh_ledger():
    "The staged ledger shows what the notebooks hold now, even if it ran before one of them"
    from ddl_lesson8.book.claims import Ledger
    path = proc/'ledger.ipynb'
    content = json.loads(path.read_text(encoding='utf-8'))
    for o in (o for c in content['cells'] for o in c.get('outputs', [])):
        if 'ledger-page' in ''.join(o.get('data', {}).get('text/html', '')):
            o['data']['text/html'] = local_links(Ledger(root/'nbs')._repr_html_(), 0, '')
    path.write_text(json.dumps(content), encoding='utf-8')


def stage():
    "Process the notebooks with nbdev, as Quarto would see them"
    from nbdev.config import get_config
    from nbdev.serve import proc_nbs
    os.chdir(root)
    shutil.rmtree(proc, ignore_errors=True)
    proc_nbs(n_workers=0, force=True)
    cfg = get_config()
    for nb in list(proc.rglob('*.ipynb')): rename(nb, cfg.doc_url, cfg.git_url)
    fresh_ledger()
    for f in ('_quarto.yml', 'nbs/styles.css'): shutil.copy(root/f, proc)
    shutil.copytree(root/'nbs'/'images', proc/'images', dirs_exist_ok=True)


class Page(HTMLParser):
    "Links, anchors and visible text of a page"
    def __init__(self, text:str):
        super().__init__()
        self.links, self.ids, self.text, self.silent = [], set(), [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.silent += tag in ('script', 'style')
        self.ids |= {a[k] for k in ('id', 'name') if a.get(k)}
        self.links += [a[k] for k in ('href', 'src') if a.get(k)]

    def handle_endtag(self, tag): self.silent -= tag in ('script', 'style')

    def handle_data(self, data): self.text += [data] * (not self.silent)


def problems(folder:Path)->list[str]:
    "Broken links, directives that show through and tracebacks, on any page of a site"
    pages = {p: Page(p.read_text(encoding='utf-8')) for p in folder.rglob('*.html') if 'site_libs' not in p.parts}
    found = [] if pages else [f'no page in {folder.name}']
    for p, page in pages.items():
        name, text = p.relative_to(folder).as_posix(), ''.join(page.text)
        if re.search(r'^#\| *[a-z_]+', text, re.M): found.append(f'{name}: a notebook directive shows through')
        if re.search(r'\]\([\w/.#-]+\.(html|ipynb)', text): found.append(f'{name}: a link shows as Markdown')
        if 'Traceback (most recent call last)' in text: found.append(f'{name}: a traceback')
        for link in page.links:
            u = urlsplit(link)
            if u.scheme or u.netloc or link == '#': continue
            target = (p.parent/unquote(u.path)).resolve() if u.path else p
            if target.is_dir(): target = target/'index.html'
            if not target.exists(): found.append(f'{name}: broken link {link}')
            elif u.fragment and target in pages and unquote(u.fragment) not in pages[target].ids: found.append(f'{name}: no such place {link}')
    return found


def build():
    "Stage, render, check"
    stage()
    shutil.rmtree(site, ignore_errors=True)
    quarto = shutil.which('quarto')
    cmd = [quarto, 'render', str(proc), '--no-execute'] if quarto else ['smalldocs', 'render', str(proc), '--quiet']
    said = subprocess.run(cmd, cwd=root, capture_output=True, text=True)
    if said.returncode: sys.exit(f'the site could not be rendered:\n{said.stdout}{said.stderr}')
    warned = re.findall(r'^warning: .*', said.stdout + said.stderr, re.M)
    shutil.copytree(proc/'_docs', site)
    polish(site, {plain_name(nb.stem) for nb in (root/'nbs').glob('*.ipynb') if is_chapter(nb)})
    shutil.copy(root/'ddl_lesson8'/'book'/'ledger.json', site)
    (site/'notebooks').mkdir()
    for nb in filter(is_chapter, (root/'nbs').glob('*.ipynb')): shutil.copy(nb, site/'notebooks')
    checked = subprocess.run(['ddl8-check', '--save', str(site/'lesson8.xlsx')], cwd=root, capture_output=True, text=True)
    if checked.returncode: sys.exit(f'lesson8.xlsx does not agree:\n{checked.stdout}{checked.stderr}')
    if (proc/'live').exists(): shutil.copytree(proc/'live', site/'live')
    live.build(site)
    if found := warned + problems(site): sys.exit('\n'.join(found))
    print(f'the site is in {site.name}/: open {site.name}/index.html')


if __name__ == '__main__':
    argparse.ArgumentParser(description=__doc__).parse_args()
    build()
