"Supplies pyproject.toml's dynamic fields from settings.ini, the one place where they are written."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

root = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(root/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
book, data, serve, dev = (cfg[f'{name}_requirements'].split() for name in ('book', 'data', 'serve', 'dev'))

setup(
    version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
    author=cfg['author'], author_email=cfg['author_email'], license=cfg['license'],
    long_description=(root/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    packages=find_packages(include=['ddl_lesson8', 'ddl_lesson8.*']),
    package_data={'ddl_lesson8': ['py.typed', 'reader.json'], 'ddl_lesson8.book': ['ledger.json', 'glossary.json'], 'ddl_lesson8.sheets': ['widget.js']},
    install_requires=cfg['requirements'].split(), extras_require={'book': book, 'data': data, 'serve': serve, 'dev': book + data + serve + dev},
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': ['ddl_lesson8=ddl_lesson8._modidx:d']})
