"Run the lesson: the notebooks, then lesson8.xlsx and its cross-check, then the site."
import subprocess, sys
import docs, notebooks
from docs import root


def main():
    print('--- 1 of 3: the notebooks, every cell and every check in them', flush=True)
    if not notebooks.run_all(notebooks.all_notebooks()): sys.exit('a notebook failed: see above')
    print('--- 2 of 3: the workbook, cross-checked cell by cell', flush=True)
    if subprocess.run(['ddl8-check', '--save', str(root/'lesson8.xlsx')]).returncode: sys.exit('the workbook does not agree: see above')
    print('--- 3 of 3: the site', flush=True)
    docs.build()
    print(f'\nDone.\n  the workbook: {root/"lesson8.xlsx"}\n  the book:     {docs.site/"index.html"}')


if __name__ == '__main__': main()
