"Tables in files: what is missing and what is a text, in memory and from disk alike; a path wherever a table is taken"
import gzip, warnings
import pytest, torch
pl, pd, np = (pytest.importorskip(m) for m in ('polars', 'pandas', 'numpy'))
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.columns import ColumnPrep, add_datepart, cont_cat_split, split_rows
from ddl_lesson8.data.frames import as_frame
from ddl_lesson8.data.read_ratings import ratings_from_table
from ddl_lesson8.data.scan import scan_ratings
from ddl_lesson8.data.scan_table import scan_table
from ddl_lesson8.data.table_files import read_file
from ddl_lesson8.tabular import load_tabular, permutation_importance, save_tabular, tabular_learner
from ddl_lesson8.train.command import train_main

MISSING = ['', 'NA', 'na', 'N/A', 'n/a', '#N/A', '<NA>', 'NaN', 'nan', '-nan', 'null', 'NULL', 'None', 'none'] # among numbers
TEXTS = [s for s in MISSING if s] + ['-', '?', '.', 'nil', 'missing', ' ', '0', 'False'] # among texts

def both(path, cats, conts): # what a table in memory learns, and what a scan learns: the training rows are all rows
    memory = ColumnPrep(cats, conts, 'y')
    memory.parts(path, np.arange(200), fit=True)
    scanned = scan_table(path, 'y', cats, conts, valid=0).prep
    assert (memory.classes, memory.numbers, memory.kinds) == (scanned.classes, scanned.numbers, scanned.kinds)
    return memory

def write(path, columns): # a text column as it stands in the file
    frame = pl.DataFrame(columns | dict(y=np.arange(200) * .5))
    frame.write_csv(path, quote_style='necessary') if path.suffix == '.csv' else frame.write_parquet(path)
    return path

@pytest.mark.parametrize('word', MISSING)
@pytest.mark.parametrize('numbers', [range(199), [k / 4 for k in range(199)]], ids=['whole', 'fractions'])
@pytest.mark.parametrize('at', [0, 150])
def test_a_number_that_is_not_there(tmp_path, word, numbers, at):
    fields = [str(v) for v in numbers]
    path = write(tmp_path/'t.csv', dict(x=[*fields[:at], word, *fields[at:]], c=['a', 'b'] * 100))
    assert cont_cat_split(path, dep_var='y') == (['x'], ['c'])
    assert both(path, 'c', 'x').numbers['x'] == pytest.approx(dict(median=float(np.median(numbers)), mean=float(np.mean([*numbers, np.median(numbers)])), std=float(np.std([*numbers, np.median(numbers)])), flag=True))

@pytest.mark.parametrize('word', TEXTS)
@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_a_text_among_texts_stays_one(tmp_path, word, kind): # NA is Namibia, None a house without a garage
    path = write(tmp_path/f't.{kind}', dict(c=['CH', word] * 100, x=range(200)))
    assert set(both(path, 'c', 'x').classes['c']) == {'#na#', 'CH', word}

@pytest.mark.parametrize('field', ['', '""'])
def test_an_empty_field_among_texts_is_missing(tmp_path, field):
    (tmp_path/'t.csv').write_text('c,x,y\n' + f'CH,1,1\n{field},2,2\n' * 100)
    assert both(tmp_path/'t.csv', 'c', 'x').classes['c'] == ['#na#', 'CH']
    pl.DataFrame(dict(c=['CH', None] * 100, x=range(200), y=range(200))).write_parquet(tmp_path/'t.parquet')
    assert both(tmp_path/'t.parquet', 'c', 'x').classes['c'] == ['#na#', 'CH']

def test_a_word_after_many_numbers(tmp_path): # a guess rests on ten thousand rows
    for name, last, kind in (('gap', 'NA', pl.Int64), ('part', '2.5', pl.Float64), ('text', 'twelve', pl.String), ('name', '007', pl.String), ('long', '12345678901234567890', pl.String), ('nan', 'nan', pl.Int64)):
        (tmp_path/f'{name}.csv').write_text('x\n' + '7\n' * 12_000 + last + '\n')
        found = read_file(tmp_path/f'{name}.csv')['x']
        assert found.dtype == kind and found[-1] == (None if name in ('gap', 'nan') else 2.5 if name == 'part' else last)

def test_marks_that_may_mean_something_else_are_told(tmp_path): # in a ledger '-' is 0
    for mark in '-?.':
        (tmp_path/'t.csv').write_text('x,y\n' + ''.join(f'{k},{k}\n' for k in range(50)) + f'{mark},3\n')
        with pytest.warns(UserWarning, match="'x' holds numbers as text") as said: assert cont_cat_split(tmp_path/'t.csv', dep_var='y') == ([], ['x'])
        assert said[0].filename == __file__

def test_yes_and_no(tmp_path):
    (tmp_path/'t.csv').write_text('b\nTrue\nFALSE\nNA\nfalse\n\n'.replace('\n\n', '\n""\n'))
    assert read_file(tmp_path/'t.csv')['b'].to_list() == [True, False, None, False, None]

def test_row_labels_are_no_column(tmp_path): # sorted by price, the label tells it
    frame = pd.DataFrame(dict(x=[1., 2., 3.], y=[1, 2, 3])).iloc[[2, 0, 1]]
    frame.to_csv(tmp_path/'t.csv'); frame.to_parquet(tmp_path/'t.parquet')
    for kind in ('csv', 'parquet'): assert read_file(tmp_path/f't.{kind}').columns == ['x', 'y'] and read_file(tmp_path/f't.{kind}')['x'].to_list() == [3, 1, 2]

def sales(n=400):
    g = np.random.default_rng(0)
    return pd.DataFrame(dict(plz=g.choice(['01067', '10115', '80331'], n), rooms=g.integers(1, 6, n), area=g.uniform(20, 200, n).round(1), price=g.uniform(1, 9, n).round(2)))

WRITERS = dict(csv=lambda f, p: f.to_csv(p, index=False), tsv=lambda f, p: f.to_csv(p, index=False, sep='\t'), parquet=lambda f, p: f.to_parquet(p), feather=lambda f, p: f.to_feather(p), arrow=lambda f, p: f.to_feather(p), CSV=lambda f, p: f.to_csv(p, index=False, sep=';'))

@pytest.mark.parametrize('kind', WRITERS)
def test_a_path_wherever_a_table_is_taken(tmp_path, kind):
    frame, new = sales(), sales().iloc[:40]
    paths = [tmp_path/f'sales.{kind}', tmp_path/f'new.{kind}']
    for f, p in zip((frame, new), paths): WRITERS[kind](f, p)
    def model(table, rows):
        learn = tabular_learner(table, 'price', layers=[8])
        learn.progress = False
        learn.fit_one_cycle(1)
        again = load_tabular(save_tabular(learn, tmp_path/'m.pt'), table)
        return learn.prep.to_dict(), learn.predict(rows), learn.validate(rows), permutation_importance(learn, rows), len(again.data.train[0]), split_rows(table)[0].tolist()
    ours, theirs = model(str(paths[0]), paths[1]), model(frame, new)
    assert ours[0] == theirs[0] and torch.equal(ours[1], theirs[1]) and ours[2:] == theirs[2:]

def test_a_column_of_texts_stays_one_in_a_new_file(tmp_path): # which happens to hold digits only
    frame = pd.DataFrame(dict(code=['10', '20', 'x'] * 100, y=[1., 2., 3.] * 100))
    frame.to_csv(tmp_path/'t.csv', index=False)
    learn = tabular_learner(tmp_path/'t.csv', 'y', layers=[4])
    pd.DataFrame(dict(code=[20, 10])).to_csv(tmp_path/'new.csv', index=False)
    assert torch.equal(learn.predict(tmp_path/'new.csv'), learn.predict(pd.DataFrame(dict(code=['20', '10']))))

def test_a_lazy_frame_is_a_table():
    frame = pl.DataFrame(dict(d=['2024-01-31', None], x=[1, 2]))
    assert as_frame(frame.lazy()).columns == ['d', 'x']
    assert add_datepart(frame.lazy(), 'd')['dIs_month_end'].to_list() == [True, False]

def test_files_that_are_none(tmp_path):
    for name, raw, error, words in (('gone.csv', None, FileNotFoundError, 'no table there'), ('t.xlsx', b'PK', ValueError, 'cannot read .xlsx; wanted one of'), ('t.parquet', b'PAR1 and more', ValueError, 'cannot be read'), ('t.csv', b'a,a\n1,2\n', ValueError, 'names a column twice'), ('e.csv', b'', ValueError, 'cannot be read')):
        if raw is not None: (tmp_path/name).write_bytes(raw)
        with pytest.raises(error, match=words): tabular_learner(tmp_path/name, 'y')

@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('packed', [False, True])
def test_a_line_of_another_length_is_refused_by_file_and_line(tmp_path, end, packed): # polars fills a short one with missing values
    def file(*lines):
        raw = (end.join(lines) + end).encode()
        path = tmp_path/('t.csv' + '.gz' * packed)
        path.write_bytes(gzip.compress(raw) if packed else raw)
        return path
    for bad, words in (('1', '1 field, where'), ('', '0 fields, where'), ('"a,b"', '1 field, where'), ('1,2,3', '3 fields, where')):
        with pytest.raises(ValueError, match=f'line 3: {words} the header has 2') as said: read_file(file('x,y', '5,6', bad, '7,8'))
        assert 't.csv' in str(said.value)
        with pytest.raises(ValueError, match='line 3'): scan_table(file('x,y', '5,6', bad, '7,8'), 'x', [], 'y')
    assert read_file(file('x,y', 'a,', f'"b{end}c",', '"d, e",', 'f,3')).rows() == [('a', None), (f'b{end}c', None), ('d, e', None), ('f', 3)] # as the format has it (RFC 4180)
    assert read_file(file('x', '1', '', '2'))['x'].to_list() == [1, None, 2] # in a single column an empty line is an empty field

def test_shards_of_other_columns_are_refused_by_name(tmp_path):
    for k, text in enumerate(('x,y\n1,2\n', 'x,y\n3,4\n')): (tmp_path/f'{k}.csv').write_text(text)
    assert read_file(tmp_path).rows() == [(1, 2), (3, 4)]
    for text in ('y,x\n4,3\n', 'x\n3\n', 'x;y\n3;4\n', '3,4\n5,6\n', ''):
        (tmp_path/'2.csv').write_text(text)
        with pytest.raises(ValueError, match='2.csv has the columns'): read_file(tmp_path)

def test_copies_and_leftovers_in_a_folder_are_no_shards(tmp_path): # each row would count twice
    rows = [(k, k % 3, k % 5) for k in range(30)]
    for name in ('a.csv', '.ipynb_checkpoints/a-checkpoint.csv', '_temporary/0.csv', '._a.csv'):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        (tmp_path/name).write_text('user,item,rating\n' + ''.join(f'{u},{i},{r}\n' for u, i, r in rows))
    scan_ratings(tmp_path/'a.csv') # puts Parquet files into a.csv.scan
    assert read_file(tmp_path).rows() == rows

def test_other_encodings_and_ends_of_lines_are_refused(tmp_path):
    for raw, words in (('x,y\n1,2\n'.encode('utf-16'), 'UTF-8'), ('x,y\n1,2\n'.encode('utf-16-le'), 'UTF-8'), ('é,y\n1,2\n'.encode('latin-1'), 'UTF-8'), (b'x,y\r1,2\r', 'CR alone')):
        (tmp_path/'t.csv').write_bytes(raw)
        with pytest.raises(ValueError, match=words): read_file(tmp_path/'t.csv')

RATINGS = pd.DataFrame(dict(user=[f'u{k % 7}' for k in range(60)], item=[f'007-{k % 11}' for k in range(60)], rating=[1. + k % 5 for k in range(60)]))

@pytest.mark.parametrize('compression', ['uncompressed', 'lz4', 'zstd'])
def test_ratings_in_arrow_files(tmp_path, compression):
    RATINGS.to_feather(tmp_path/'r[1].arrow', compression=compression)
    found, plain = ratings_from_table(tmp_path/'r[1].arrow'), ratings_from_table(RATINGS)
    assert (found.users, found.items) == (plain.users, plain.items) and all(map(torch.equal, found.tensors(), plain.tensors()))
    assert list(collab_learner(str(tmp_path/'r[1].arrow')).users) == plain.users
    assert train_main([str(tmp_path/'r[1].arrow'), '--out', str(tmp_path/'m'), '--epochs', '1', '--factors', '2']) == 0

def test_a_damaged_arrow_file_of_ratings(tmp_path):
    (tmp_path/'r.arrow').write_bytes(b'ARROW1\0\0 and no more')
    with pytest.raises(ValueError, match='no whole Arrow file'): ratings_from_table(tmp_path/'r.arrow')

def test_ids_in_a_scan_keep_their_zeros(tmp_path):
    (tmp_path/'r.csv').write_text('user,item,rating\n' + ''.join(f'{u},{i},3\n' for u in ('007', '7') for i in range(3)))
    assert scan_ratings(tmp_path/'r.csv').users == ratings_from_table(tmp_path/'r.csv').users == ['007', '7']

def test_a_slip_of_the_pen_among_numbers_is_told(tmp_path): # one text makes a category of a whole column
    (tmp_path/'t.csv').write_text('x,code,y\n' + ''.join(f'{k}.5,{"AB"[k % 2]}{k},{k}\n' for k in range(50)) + '1O,A1,3\n')
    with pytest.warns(UserWarning, match="'x' holds numbers as text, such as '0.5' beside '1O'") as said: assert cont_cat_split(tmp_path/'t.csv', dep_var='y') == ([], ['x', 'code'])
    assert len(said) == 1 and said[0].filename == __file__
