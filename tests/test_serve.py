"Files for other programs, the web service, and other people's trainers"
import json, re, socket, threading, time
from pathlib import Path
import pytest, torch
from torch import nn
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.serve import recommender_app, save_names, save_onnx, save_program, save_torchscript, save_weights, to_program
from ddl_lesson8.tabular import tabular_learner
from ddl_lesson8.train.learner import Data, Learner, load_learner

ROOT = Path(__file__).resolve().parent.parent
KINDS = {'dot': {}, 'network': dict(use_nn=True), 'combined': dict(metadata=True), 'softmax': dict(loss='softmax')}


def recommender(kind):
    learn = collab_learner(planted_ratings(seed=0, n_users=60).ratings, n_factors=8, device='cpu', progress=False, **KINDS[kind])
    learn.fit_one_cycle(1)
    return learn

def table(**kwargs):
    pd = pytest.importorskip('pandas')
    rows = pd.DataFrame(dict(colour=list('aabbcc') * 20, size=torch.linspace(0, 1, 120).tolist(), price=torch.arange(120.).tolist()))
    learn = tabular_learner(rows, kwargs.pop('target', 'price'), layers=[8], device='cpu', progress=False, **kwargs)
    learn.fit(1)
    return learn

def pictures():
    x, y = torch.randn(8, 1, 12, 12), torch.arange(8) % 10
    return Learner(Data((x, y)), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(200, 10)), nn.functional.cross_entropy, device='cpu')

LEARNERS = {**{k: (lambda k=k: recommender(k)) for k in KINDS}, 'table': table, 'classes': lambda: table(target='colour'), 'pictures': pictures}

pytestmark = pytest.mark.filterwarnings('ignore:.torch.jit:DeprecationWarning', 'ignore::torch.jit.TracerWarning') # the old format is asked for

@pytest.fixture(scope='module', params=list(LEARNERS))
def learn(request): return LEARNERS[request.param]()

def wanted(learn, rows):
    with torch.no_grad(): return learn.model.eval()(*rows)

def some_rows(learn, n): return tuple(t.cpu() for t in learn.data.batch(torch.arange(n) % len(learn.data.train[0]))[:-1])


def test_a_program_computes_the_same_for_any_number_of_rows(learn, tmp_path):
    was, program = learn.model.training, torch.export.load(save_program(learn, tmp_path/'m.pt2')).module()
    for n in (1, 2, 17):
        rows = some_rows(learn, n)
        assert torch.allclose(program(*rows), wanted(learn, rows), atol=1e-6) and len(program(*rows)) == n
    assert learn.model.train(was).training == was and all(p.requires_grad for p in learn.model.parameters())

def test_onnxruntime_computes_the_same(learn, tmp_path):
    runtime = pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    path = save_onnx(learn, tmp_path/'m.onnx')
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert [(o.domain, o.version) for o in model.opset_import if o.domain in ('', 'ai.onnx')] == [('', 18)]
    session = runtime.InferenceSession(path)
    for n in (1, 5):
        rows = some_rows(learn, n)
        used = {i.name for i in session.get_inputs()}
        names = ('user', 'item') if hasattr(learn, 'users') else ('x_cat', 'x_cont') if hasattr(learn, 'prep') else ('input',)
        found = session.run(None, {k: t.numpy() for k, t in zip(names, rows) if k in used})[0]
        assert (torch.from_numpy(found) - wanted(learn, rows)).abs().max() <= 1e-5 * max(1, wanted(learn, rows).abs().max())

def test_torchscript_computes_the_same(learn, tmp_path):
    rows = some_rows(learn, 9)
    assert torch.allclose(torch.jit.load(save_torchscript(learn, tmp_path/'m.pt'))(*rows), wanted(learn, rows), atol=1e-6)

def test_weights_come_back_to_the_last_bit(learn, tmp_path):
    load = pytest.importorskip('safetensors.torch').load_file
    found = load(save_weights(learn, tmp_path/'m.safetensors'))
    assert found.keys() == learn.model.state_dict().keys()
    assert all(torch.equal(found[k], t) for k, t in learn.model.state_dict().items())

def test_a_learner_without_data_is_written_too(learn, tmp_path):
    if type(learn) is Learner: pytest.skip('its rows are known to its owner only')
    learn.save(tmp_path/'l')
    rows = some_rows(learn, 4)
    assert torch.allclose(to_program(load_learner(tmp_path/'l', device='cpu')).module()(*rows), wanted(learn, rows), atol=1e-6)


class FixedRows(nn.Module):
    def forward(self, x): return x * (3 if torch.jit.is_tracing() else 1)

def test_a_file_that_computes_something_else_is_not_written(tmp_path):
    learn = Learner(None, FixedRows(), device='cpu', opt_func=lambda *a, **k: torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.))
    (tmp_path/'m.pt').write_text('old')
    with pytest.raises(ValueError, match='something else than the model'): save_torchscript(learn, tmp_path/'m.pt', (torch.ones(2, 1),))
    assert (tmp_path/'m.pt').read_text() == 'old' and len(list(tmp_path.iterdir())) == 1

@pytest.mark.parametrize('save', [save_program, save_onnx, save_names, save_torchscript, save_weights])
def test_a_file_for_others_replaces_only_one_of_its_kind(save, tmp_path): # right: the bytes before; model.pt is the usual name of a learner and of TorchScript
    if save is save_onnx: pytest.importorskip('onnxruntime'); pytest.importorskip('onnxscript')
    learn = recommender('dot')
    for name in ('model.pt', 'r.csv'):
        learn.save(tmp_path/name) if name == 'model.pt' else (tmp_path/name).write_text('user,item,rating\n1,1,5\n')
        before = (tmp_path/name).read_bytes()
        with pytest.raises(FileExistsError, match='not replaced'): save(learn, tmp_path/name)
        assert (tmp_path/name).read_bytes() == before
    assert save(learn, tmp_path/'own') == save(learn, tmp_path/'own')

@pytest.mark.parametrize('bad', [([1], [1]), ([1, 2], [1]), (1, 2)])
def test_impossible_examples(bad):
    with pytest.raises(ValueError, match='two or more rows'): to_program(recommender('dot'), bad)

def test_odd_names_travel(tmp_path):
    from ddl_lesson8.data.ratings import Ratings
    r = planted_ratings(seed=0, n_users=60).ratings
    names = [2**63 - 1 if k == 0 else f'Zoë "{k}"\n' for k in range(60)]
    learn = collab_learner(Ratings(r.user, r.item, r.rating, [str(n) for n in names], r.items), n_factors=2, device='cpu', progress=False)
    found = json.loads(save_names(learn, tmp_path/'n.json').read_text(encoding='utf-8'))
    assert found == dict(users=list(learn.users.items), items=list(learn.items.items))

@pytest.mark.parametrize('kind', ['dot', 'network', 'combined'])
def test_script_is_refused_in_words(kind):
    with pytest.raises(TypeError, match='torch.export'): torch.jit.script(recommender(kind).model)


# ---- over the network

@pytest.fixture(scope='module')
def service():
    pytest.importorskip('fastapi')
    uvicorn, httpx = pytest.importorskip('uvicorn'), pytest.importorskip('httpx')
    learn, place = recommender('dot'), socket.create_server(('127.0.0.1', 0))
    server = uvicorn.Server(uvicorn.Config(recommender_app(learn), log_level='warning'))
    thread = threading.Thread(target=server.run, args=([place],), daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until: time.sleep(.01)
    with httpx.Client(base_url=f'http://127.0.0.1:{place.getsockname()[1]}', trust_env=False, timeout=30) as client: yield learn, client
    server.should_exit = True
    thread.join(10)

def test_the_service_gives_the_learners_lists(service):
    learn, client = service
    assert client.get('/health').json() == dict(users=60, items=len(learn.items))
    for n in (1, 10): assert [(r['item'], r['rating']) for r in client.get(f'/recommend/person 7?n={n}').json()] == learn.recommend('person 7', n)
    given = {'Heat': 5, 'Jaws': 1}
    assert [(r['item'], r['rating']) for r in client.post('/newcomer', json=given).json()] == learn.recommend(given)

@pytest.mark.parametrize('ask, status', [(lambda c: c.get('/recommend/nobody'), 404), (lambda c: c.get('/recommend/person 7?n=0'), 422), (lambda c: c.get('/recommend/a%2Fb'), 404),
    (lambda c: c.post('/newcomer', json={'No such film': 3}), 404), (lambda c: c.post('/newcomer', json={'Heat': 99}), 422), (lambda c: c.post('/newcomer', json=['Heat']), 422),
    (lambda c: c.post('/newcomer', content=b'{"Heat": NaN}', headers={'content-type': 'application/json'}), 422)])
def test_the_service_refuses_in_words(service, ask, status):
    said = ask(service[1])
    assert said.status_code == status and said.json()['detail']

@pytest.mark.parametrize('body', [b'NaN', b'{"Heat": [NaN]}', b'{"Heat": "\\ud800"}', b'{"\\ud800": 5}', b'{"Heat": true}', b'{"Heat": "5"}', b'{"Heat": "1_0"}', b'{"Heat": "' + b'x' * 100_000 + b'"}', b'{"' + b'x' * 100_000 + b'": 1}',
    b'[' * 100_000, b'1' * 5000, b'\xff\xfe', b'', b'{"Heat": ' + b'1' * 5000 + b'}', json.dumps({str(k): 'x' for k in range(20_000)}).encode()])
def test_a_hostile_request_gets_a_short_answer(service, body): # not an error of the server, nor the request again
    said = service[1].post('/newcomer', content=body, headers={'content-type': 'application/json'})
    assert said.status_code in (400, 404, 422) and said.json()['detail'] and len(said.content) < 1500

def test_names_that_utf8_cannot_hold_are_answered(): # they became an error of the server
    pytest.importorskip('fastapi')
    from fastapi.testclient import TestClient
    from ddl_lesson8.data.ratings import Ratings
    r = planted_ratings(seed=0, n_users=60).ratings
    learn = collab_learner(Ratings(r.user, r.item, r.rating, r.users, [n + '\ud800' for n in r.items]), n_factors=2, device='cpu', progress=False)
    found = TestClient(recommender_app(learn)).get('/recommend/person 7?n=2').json()
    assert [(f['item'], f['rating']) for f in found] == learn.recommend('person 7', 2)

def test_many_at_once_get_their_own_lists(service):
    from concurrent.futures import ThreadPoolExecutor
    learn, client = service
    people = [f'person {k}' for k in range(1, 41)]
    with ThreadPoolExecutor(8) as pool: found = list(pool.map(lambda p: client.get(f'/recommend/{p}?n=3').json(), people))
    assert [[(r['item'], r['rating']) for r in f] for f in found] == [learn.recommend(p, 3) for p in people]


# ---- other people's trainers: the page's own words are run

def block(word):
    text = '\n'.join(''.join(c['source']) for c in json.loads((ROOT/'nbs'/'12b_serve.ipynb').read_text(encoding='utf-8'))['cells'] if c['cell_type'] == 'markdown')
    return next(b for b in re.findall(r'```python\n(.*?)```', text, re.S) if f'import {word}' in b)

@pytest.mark.parametrize('name', ['lightning', 'accelerate'])
def test_other_trainers_train_the_model(name):
    pytest.importorskip(name)
    learn = recommender('dot')
    before = learn.validate()['loss']
    kept = {k: v.clone() for k, v in learn.model.state_dict().items()}
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*learn.data.train), batch_size=64, shuffle=True)
    exec(block(name), dict(torch=torch, nn=nn, learn=learn, loader=loader, __name__='page'))
    assert any(not torch.equal(kept[k], v) for k, v in learn.model.state_dict().items())
    assert learn.validate()['loss'] < before + .1

@pytest.mark.parametrize('save', [save_weights, save_program, save_torchscript])
def test_files_for_other_programs_are_not_read_back(learn, tmp_path, save): # they carry no checksum of ours, as SECURITY.md says
    if save is save_weights: pytest.importorskip('safetensors')
    with pytest.raises(ValueError, match='not a saved learner'): load_learner(save(learn, tmp_path/'m'), device='cpu')
