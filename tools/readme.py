"Write README.md from nbs/index.ipynb without Quarto: nbdev processes the notebook, nbconvert writes Markdown."
import argparse, os, re, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
HEAD = '<!-- Written by tools/readme.py from nbs/index.ipynb. Edit the notebook, not this file. -->\n\n'


def processed_index()->str:
    "index.ipynb as Markdown, after nbdev's processors"
    from fastcore.nbio import nb2str, read_nb
    from nbconvert import MarkdownExporter
    from nbdev.processors import FilterDefaults
    from nbformat import reads
    nb = read_nb(root/'nbs'/'index.ipynb')
    FilterDefaults()(nb)
    nb.metadata['language_info'] = {'name': 'python'}  # fences then name their language
    return MarkdownExporter().from_notebook_node(reads(nb2str(nb), as_version=4))[0]


def readme()->str:
    "The text of README.md: links to pages lead to the notebooks in the repository, so that they work in any clone"
    os.chdir(root)
    text = processed_index()
    title, summary = (re.search(rf'^{k}: (.*)$', text, re.M)[1] for k in ('title', 'description'))
    text = re.sub(r'^---\n.*?\n---\n|<!-- WARNING: THIS FILE.*?-->\n', '', text, flags=re.S)
    text = f'# {title}\n\n> {summary}\n\n{text}'
    text = re.sub(r'\n<div class="start">.*?</div>\n', '', text, flags=re.S)  # buttons of the site
    text = re.sub(r'```python\n#\| echo: false\n.*?\n```\n', '', text, flags=re.S)
    text = re.sub(r'\]\(((?:\w+/)*\w+\.ipynb)', r'](nbs/\1', text)
    text = re.sub(r'\[(`[^`]+`)\]\(https://[\w.-]+\.github\.io/[^)]*\)', r'\1', text)  # nbdev's links to the site
    text = text.replace('](images/', '](nbs/images/')
    return HEAD + re.sub(r'\n{3,}', '\n\n', text).strip() + '\n'


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--check', action='store_true', help='only see whether README.md is up to date')
    check, text, path = ap.parse_args().check, readme(), root/'README.md'
    if not check: path.write_text(text, encoding='utf-8')
    elif not path.exists() or path.read_text(encoding='utf-8') != text: sys.exit('README.md is older than nbs/index.ipynb: run make readme')


if __name__ == '__main__': main()
