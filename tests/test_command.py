"The commands: a table to a model folder, a model folder to lists"
import csv, gzip, json, os
import pytest, torch
from ddl_lesson8.data.files import read_values
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.data.scan import scan_ratings
from ddl_lesson8.train.command import recommend_main, train_main
from ddl_lesson8.train.learner import load_learner

@pytest.fixture(scope='module')
def table(tmp_path_factory):
    r, path = planted_ratings(n_users=40).ratings, tmp_path_factory.mktemp('t')/'r.csv'
    with open(path, 'w', newline='', encoding='utf-8') as f:
        out = csv.writer(f); out.writerow(['user', 'item', 'rating', 'when'])
        out.writerows((r.users[u], r.items[i], s, t) for u, i, s, t in zip(*(x.tolist() for x in (*r.tensors(), r.timestamp))))
    return path

@pytest.fixture(scope='module')
def model(table, tmp_path_factory):
    out = tmp_path_factory.mktemp('m')/'model'
    assert train_main([str(table), '--out', str(out), '--factors', '4', '--epochs', '2', '--duplicates', 'last']) == 0
    return out

def test_a_model_folder_loads_and_reports(model):
    assert read_values(model/'report.json')['epochs'] == 2 and read_values(model/'report.json')['valid_loss'] < 3
    assert load_learner(model/'model.pt', device='cpu').epoch == 2

def test_the_last_line_is_json(table, tmp_path, capsys):
    assert train_main([str(table), '--out', str(tmp_path/'m'), '--epochs', '1', '--factors', '2', '--json', '--scan', '--timestamp', 'when', '--split', 'time']) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]).keys() == {'rows', 'valid_loss', 'seconds', 'peak_mb'}

def test_a_table_with_a_target(tmp_path):
    pytest.importorskip('pandas')
    (tmp_path/'t.csv').write_text('c,x,y\n' + ''.join(f'{"ab"[k % 2]},{k},{k % 2 + k / 99}\n' for k in range(99)))
    assert train_main([str(tmp_path/'t.csv'), '--out', str(tmp_path/'m'), '--target', 'y', '--epochs', '1']) == 0
    assert load_learner(tmp_path/'m'/'model.pt', device='cpu').predict(dict(c=['a'], x=[3.])).shape == (1, 1)

def test_a_table_on_disk(tmp_path, capsys):
    (tmp_path/'t').mkdir()
    for part in range(2): (tmp_path/'t'/f'{part}.csv').write_text('c,x,y,day\n' + ''.join(f'{"ab"[k % 2]},{k},{k % 2 + k / 99},{k}\n' for k in range(part * 50, part * 50 + 50)))
    base = ['--model', 'table', '--target', 'y', '--epochs', '1', '--json']
    for source, more in (('t', []), ('t/0.csv', ['--scan', '--split', 'time', '--timestamp', 'day'])):
        assert train_main([str(tmp_path/source), '--out', str(tmp_path/'m'), *base, *more]) == 0
        assert json.loads(capsys.readouterr().out)['rows'] == 100 // (1 + bool(more)) and (tmp_path/'m'/'columns'/'manifest.json').exists()
        assert load_learner(tmp_path/'m'/'model.pt', device='cpu').predict(dict(c=['a'], x=[3.], day=[4])).shape == (1, 1)
    assert train_main([str(tmp_path/'t'), '--out', str(tmp_path/'m'), '--model', 'table', '--target', 'z']) == 2 and "no column 'z'" in capsys.readouterr().err

def test_a_checkpoint_goes_on(table, tmp_path):
    base = [str(table), '--factors', '3', '--epochs', '3', '--seed', '4']
    assert train_main([*base, '--out', str(tmp_path/'a')]) == 0
    from ddl_lesson8.train.learner import Learner
    fit, count = Learner.fit_one_cycle, [0]
    def short(self, *a, **k): return fit(self, *a, until=2, **k)
    Learner.fit_one_cycle = short
    try: assert train_main([*base, '--out', str(tmp_path/'b'), '--checkpoint', str(tmp_path/'c.pt'), '--resume']) == 0
    finally: Learner.fit_one_cycle = fit
    assert train_main([*base, '--out', str(tmp_path/'b'), '--checkpoint', str(tmp_path/'c.pt'), '--resume']) == 0
    a, b = (load_learner(tmp_path/k/'model.pt', device='cpu') for k in 'ab')
    assert all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values()))

@pytest.mark.parametrize('args, words', [
    (['nowhere.csv'], 'nothing at'), (['{t}', '--split', 'time'], '--timestamp'), (['{t}', '--resume'], '--checkpoint'), (['{t}', '--model', 'table'], '--target'),
    (['{t}', '--user', 'item', '--item', 'item'], 'three columns'), (['{t}', '--timestamp', 'when', '--rating', 'when'], 'two roles'), (['{t}', '--model', 'network', '--scan'], '--model dot'),
    (['{t}', '--model', 'dot', '--target', 'rating'], '--target does not go'), (['{t}', '--shard', '2'], 'groups of 2'), (['{t}', '--checkpoint', '.'], 'name a file'), (['{t}', '--checkpoint', 'nowhere/c.pt'], 'name a file'),
    *[(['{t}', '--model', 'table', '--target', 'y', f'--{n}', v], f'--{n} does not go') for n, v in dict(user='a', item='a', rating='a', timestamp='a', factors='3', split='time', duplicates='last').items()],
    (['{t}', '--model', 'table', '--target', 'y', '--scan', '--timestamp', 'when'], 'goes with --split time'), (['{t}', '--model', 'table', '--target', 'y', '--scan', '--split', 'time'], 'needs --timestamp')])
def test_orders_that_make_no_sense_end_with_2_before_anything_is_read(args, words, table, tmp_path, capsys):
    assert train_main([a.format(t=table) for a in args] + ['--out', str(tmp_path/'m')]) == 2
    assert words in capsys.readouterr().err and not (tmp_path/'m').exists()

@pytest.mark.parametrize('args, words', [(['--user', 'who'], "no column 'who'"), (['--model', 'table', '--target', 'y'], "no column 'y'")])
def test_columns_that_are_not_there_end_with_2_and_a_sentence(args, words, table, tmp_path, capsys):
    assert train_main([str(table), '--out', str(tmp_path/'m'), *args]) == 2
    assert words in capsys.readouterr().err and not (tmp_path/'m'/'model.pt').exists()

def test_a_batch_smaller_than_the_team_is_refused_first(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '3')
    assert train_main([str(table), '--out', str(tmp_path/'m'), '--batch', '2']) == 2 and '3 processes' in capsys.readouterr().err

NUMBERS = ['0', '-1', 'x', 'nan', 'inf', '']
@pytest.mark.parametrize('name, values', [*[(n, [*NUMBERS, '1.5', '1e9', str(2**31)]) for n in ('--epochs', '--factors', '--batch', '--shard')], ('--lr', [*NUMBERS, '1e-13']), ('--valid', [*NUMBERS[1:], '1', '2', '1.0']),
                                          ('--seed', [*NUMBERS[1:], '.5']), *[(n, ['', ' ']) for n in ('--target', '--user', '--item', '--rating', '--timestamp', '--checkpoint', '--out')],
                                          *[(n, ['', 'both']) for n in ('--model', '--split', '--duplicates')]])
def test_settings_of_training_out_of_range_are_named(name, values, table, tmp_path, capsys):
    for v in values:
        with pytest.raises(SystemExit) as e: train_main([str(table), *(() if name == '--out' else ('--out', str(tmp_path/'m'))), f'{name}={v}'])
        assert e.value.code == 2 and name in capsys.readouterr().err and not (tmp_path/'m').exists(), v

@pytest.mark.parametrize('name, values', [*[(n, [*NUMBERS, '2.5']) for n in ('--top', '--batch')], ('--users', ['', ' ']), ('--out', ['', ' '])])
def test_settings_of_lists_out_of_range_are_named(name, values, tmp_path, capsys):
    for v in values:
        with pytest.raises(SystemExit) as e: recommend_main(['nowhere', *(() if name == '--out' else ('--out', str(tmp_path/'l.csv'))), f'{name}={v}'])
        assert e.value.code == 2 and name in capsys.readouterr().err and os.listdir(tmp_path) == [], v

@pytest.mark.parametrize('name, content', [('a.parquet', b'junk'), ('a.csv', b'user,item,rating\nJos\xe9,1,3\n'), ('a.csv', b'')])
def test_a_file_that_is_no_table_is_named(name, content, tmp_path, capsys):
    (tmp_path/name).write_bytes(content)
    assert train_main([str(tmp_path/name), '--out', str(tmp_path/'m'), '--scan']) == 2
    assert f'{name} cannot be read' in capsys.readouterr().err and os.listdir(tmp_path/'m') == []

@pytest.mark.parametrize('content, words', [(b'', 'names no user'), (b'\xff\xfe', 'UTF-8'), ('\ufeffperson 1\n'.encode(), None)])
def test_a_file_of_users(content, words, model, tmp_path, capsys):
    (tmp_path/'u').write_bytes(content)
    assert recommend_main([str(model), '--out', str(tmp_path/'l.csv'), '--users', str(tmp_path/'u')]) == (2 if words else 0)
    assert (words or 'of 1 users') in capsys.readouterr().err and (tmp_path/'l.csv').exists() == (words is None)

@pytest.mark.parametrize('kind', ['csv', 'jsonl', 'parquet'])
def test_lists_are_those_of_the_learner(kind, model, tmp_path):
    out = tmp_path/f'l.{kind}'
    assert recommend_main([str(model), '--out', str(out), '--top', '4', '--batch', '7']) == 0
    if kind == 'csv': rows = list(csv.DictReader(out.open(encoding='utf-8')))
    elif kind == 'jsonl': rows = [json.loads(l) for l in out.open(encoding='utf-8')]
    else: rows = pytest.importorskip('pyarrow.parquet').read_table(out).to_pylist()
    l = load_learner(model/'model.pt', device='cpu')
    for u in range(0, 40, 9):
        right = l.predict(l.users[u]); right[l.memory.seen(u)] = -torch.inf; right[~l.memory.item] = -torch.inf
        mine = [r for r in rows if r['user'] == l.users[u]]
        assert [r['item'] for r in mine] == [l.items[k] for k in right.topk(4).indices.tolist()][:len(mine)]
        assert [float(r['rating']) for r in mine] == pytest.approx(right.topk(len(mine)).values.tolist(), abs=1e-4)

@pytest.mark.parametrize('args, words', [(['--out', 'x.txt'], '.csv'), (['--out', 'x'], '.csv'), (['--out', 'no/x.csv'], 'no folder'), (['--out', 'x.csv', '--users', 'nobody.txt'], 'nobody.txt')])
def test_bad_orders_write_nothing(args, words, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert recommend_main([str(model), *args]) == 2 and words in capsys.readouterr().err and os.listdir(tmp_path) == []

def test_a_model_that_is_not_there_is_named(tmp_path, capsys):
    assert recommend_main([str(tmp_path/'gone'), '--out', str(tmp_path/'x.csv')]) == 2 and 'gone' in capsys.readouterr().err and os.listdir(tmp_path) == []

def test_a_moved_model_folder_finds_its_columns(table, tmp_path):
    assert train_main([str(table), '--out', str(tmp_path/'a'), '--scan', '--epochs', '1', '--factors', '2', '--duplicates', 'last']) == 0
    assert recommend_main([str(tmp_path/'a'), '--out', str(tmp_path/'1.csv')]) == 0
    (tmp_path/'a').rename(tmp_path/'b')
    assert recommend_main([str(tmp_path/'b'), '--out', str(tmp_path/'2.csv')]) == 0
    assert (tmp_path/'1.csv').read_bytes() == (tmp_path/'2.csv').read_bytes()

def test_lists_without_the_columns_say_where_they_were(table, tmp_path, capsys):
    assert train_main([str(table), '--out', str(tmp_path/'a'), '--scan', '--epochs', '1', '--factors', '2', '--duplicates', 'last']) == 0
    (tmp_path/'a'/'columns').rename(tmp_path/'a'/'gone')
    assert recommend_main([str(tmp_path/'a'), '--out', str(tmp_path/'l.csv')]) == 2 and 'what each user has rated lies in' in capsys.readouterr().err
    assert not (tmp_path/'l.csv').exists()
    assert recommend_main([str(tmp_path/'a'), '--out', str(tmp_path/'l.csv'), '--include-seen']) == 0

# a table with a target, in every kind of file

@pytest.mark.parametrize('name', ['t.csv', 't.tsv', 't.parquet', 't.PARQUET', 't.pq', 't.arrow', 't.feather', 't.csv.gz'])
def test_a_table_of_any_kind_gives_the_same_model(tmp_path, name): # all but two were read as text with commas
    pd = pytest.importorskip('pandas')
    frame = pd.DataFrame(dict(c=list('ab') * 40, x=[k * .37 % 1 for k in range(80)], y=[k % 7 * .5 for k in range(80)]))
    (frame.to_parquet if name.lower()[2:] in ('parquet', 'pq') else frame.to_feather if name[2:] in ('arrow', 'feather') else lambda p: frame.to_csv(p, index=False, sep='\t' if name == 't.tsv' else ','))(tmp_path/name)
    frame.to_csv(tmp_path/'plain.csv', index=False)
    losses = []
    for k, path in enumerate((tmp_path/name, tmp_path/'plain.csv')):
        assert train_main([str(path), '--out', str(tmp_path/f'm{k}'), '--model', 'table', '--target', 'y', '--epochs', '1']) == 0
        losses.append(read_values(tmp_path/f'm{k}'/'report.json')['valid_loss'])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)

@pytest.mark.parametrize('name, raw, words', [('t.xlsx', b'PK\3\4\xa9\xff', 't.xlsx: cannot read .xlsx; wanted one of'), ('t.pq', b'PAR1', 't.pq cannot be read'), ('t.csv', b'', 't.csv cannot be read'), ('t.csv.gz', b'no gzip', 't.csv.gz cannot be read'), ('t.csv.gz', gzip.compress(b'x,y\n' + b'1,2\n' * 999, mtime=0)[:-20], 't.csv.gz cannot be read'),
                                              ('t.csv', b'x,y\n1,2\n1,2,3,4\n', 't.csv, line 3: 4 fields, where the header has 2'), ('t.csv', b'x,y,x\n1,2,3\n', 't.csv names a column twice')])
def test_a_table_that_cannot_be_read_is_named(tmp_path, capsys, name, raw, words):
    pytest.importorskip('pandas')
    (tmp_path/name).write_bytes(raw)
    assert train_main([str(tmp_path/name), '--out', str(tmp_path/'m'), '--model', 'table', '--target', 'y']) == 2
    assert words in capsys.readouterr().err

def test_no_file_of_yours_is_replaced(tmp_path, capsys): # by a slip in a name
    (tmp_path/'m').mkdir()
    ratings, users, report = tmp_path/'r.csv', tmp_path/'users.csv', tmp_path/'m/report.json'
    ratings.write_text('user,item,rating\n' + ''.join(f'u{k % 7},i{k % 11},{1 + k % 5}\n' for k in range(60)))
    users.write_text('u1\nu2\n'); report.write_text('{"mine": 1}')
    before = [p.read_bytes() for p in (ratings, users, report)]
    train = [str(ratings), '--out', str(tmp_path/'m2'), '--epochs', '1', '--factors', '2']
    assert train_main([*train, '--checkpoint', str(ratings)]) == 2 and 'r.csv is there already' in capsys.readouterr().err
    assert train_main([*train[:2], str(tmp_path/'m'), *train[3:]]) == 2 and 'report.json is there already' in capsys.readouterr().err
    assert train_main([*train, '--checkpoint', str(tmp_path/'c.pt')]) == train_main([*train, '--checkpoint', str(tmp_path/'c.pt')]) == 0 # our own are
    assert recommend_main([str(tmp_path/'m2'), '--users', str(users), '--out', str(users)]) == 2 and 'name another one to write' in capsys.readouterr().err
    learn = load_learner(tmp_path/'m2'/'model.pt')
    with pytest.raises(FileExistsError, match='not replaced'): learn.save(ratings)
    assert [p.read_bytes() for p in (ratings, users, report)] == before

def test_a_folder_of_somebody_else_in_the_model_folder(tmp_path, table, capsys):
    (tmp_path/'m'/'columns').mkdir(parents=True)
    (tmp_path/'m'/'columns'/'mine.txt').write_text('mine')
    assert train_main([str(table), '--out', str(tmp_path/'m'), '--scan', '--duplicates', 'last']) == 2
    assert 'holds mine.txt' in capsys.readouterr().err and (tmp_path/'m'/'columns'/'mine.txt').read_text() == 'mine'

def test_names_with_other_ends_of_lines(tmp_path): # U+2028 and form feed end a line for Python, and stand in names
    (tmp_path/'r.csv').write_text('user,item,rating\n' + ''.join(f'a\u2028b{u},i{i},{(u + i) % 5 + 1}\n' for u in range(9) for i in range(9)))
    (tmp_path/'who.txt').write_text('a\u2028b1\na\u2028b2\r\n')
    assert train_main([str(tmp_path/'r.csv'), '--out', str(tmp_path/'m'), '--epochs', '1', '--factors', '2']) == 0
    assert recommend_main([str(tmp_path/'m'), '--out', str(tmp_path/'o.csv'), '--users', str(tmp_path/'who.txt'), '--include-seen', '--top', '1']) == 0
    assert [r['user'] for r in csv.DictReader(open(tmp_path/'o.csv', encoding='utf-8', newline=''))] == ['a\u2028b1', 'a\u2028b2']

def test_no_list_is_made_of_nan(model):
    from ddl_lesson8.train.command import best_items
    learn = load_learner(model/'model.pt')
    with torch.no_grad(): learn.model.u_weight.weight[0] = torch.nan
    with pytest.raises(ValueError, match='a score is NaN'): best_items(learn, torch.tensor([0]), 3)
    assert best_items(learn, torch.tensor([1]), 3)[0].isfinite().all()

@pytest.mark.parametrize('kind', ['csv', 'jsonl', 'parquet'])
def test_lists_replace_only_older_lists(model, table, tmp_path, kind, capsys): # --out ratings.csv wrote lists over the ratings
    pl = pytest.importorskip('polars')
    pytest.importorskip('pyarrow')
    mine, out = tmp_path/f'ratings.{kind}', tmp_path/f'lists.{kind}'
    frame = pl.read_csv(table)
    dict(csv=frame.write_csv, jsonl=frame.write_ndjson, parquet=frame.write_parquet)[kind](mine)
    before = mine.read_bytes()
    assert recommend_main([str(model), '--out', str(mine)]) == 2 and 'is not replaced' in capsys.readouterr().err
    assert mine.read_bytes() == before
    assert recommend_main([str(model), '--out', str(out)]) == recommend_main([str(model), '--out', str(out)]) == 0

def test_a_model_folder_in_the_folder_of_the_table_is_refused(tmp_path, capsys): # the second run took the columns of the first for rows
    for k in range(2): (tmp_path/f'{k}.csv').write_text('user,item,rating\n' + ''.join(f'u{k}{u},i{i},{(u + i) % 5 + 1}\n' for u in range(9) for i in range(9)))
    for out in (tmp_path, tmp_path/'m'): assert train_main([str(tmp_path), '--out', str(out)]) == 2 and 'lies in the folder of the table' in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ['0.csv', '1.csv']

def test_a_changed_table_is_scanned_again_after_lists_were_made(tmp_path): # 'holds rated, which is no part of a scan'
    def write(k): (tmp_path/'r.csv').write_text('user,item,rating\n' + ''.join(f'u{u},i{i},{(u + i) % 5 + 1}\n' for u in range(9 + k) for i in range(u % 3, 9)))
    for k in range(2):
        write(k)
        assert train_main([str(tmp_path/'r.csv'), '--out', str(tmp_path/'m'), '--scan', '--epochs', '1', '--factors', '2']) == 0
        assert recommend_main([str(tmp_path/'m'), '--out', str(tmp_path/'o.csv')]) == 0

def test_another_split_does_not_go_on(table, tmp_path, capsys): # rows of the one part were in the other
    base = [str(table), '--out', str(tmp_path/'m'), '--factors', '2', '--epochs', '2', '--checkpoint', str(tmp_path/'c.pt'), '--resume', '--duplicates', 'last']
    assert train_main([*base, '--seed', '1']) == 0
    assert train_main([*base, '--seed', '2']) == 1 and 'other training rows' in capsys.readouterr().err
