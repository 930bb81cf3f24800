// What the pages do beyond their renderer's script: theme, folds that open for a link, contents that follow, search, filters.
(() => {
  'use strict';
  const $ = (css, root = document) => root.querySelector(css), $$ = (css, root = document) => [...root.querySelectorAll(css)];
  const root = document.documentElement;

  // ---- light or dark: one theme file, two sets of its colours
  const paint = scheme => { root.dataset.bsTheme = scheme; root.classList.toggle('quarto-dark', scheme === 'dark'); };
  const toggle = () => {
    const next = root.dataset.bsTheme === 'dark' ? 'light' : 'dark';
    try { localStorage.setItem('scheme', next); } catch (e) { /* a private window */ }
    paint(next);
  };
  $$('.scheme-toggle').forEach(b => b.addEventListener('click', toggle));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', e => {
    try { if (localStorage.getItem('scheme')) return; } catch (e) { /* a private window */ }
    paint(e.matches ? 'dark' : 'light');
  });

  // ---- a link into something folded opens it
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let e = target; e; e = e.parentElement) if (e.tagName === 'DETAILS') e.open = true;
    if (target.querySelector(':scope > summary') === null && target.parentElement?.tagName === 'DETAILS') target.parentElement.open = true;
    target.scrollIntoView({behavior: 'instant'});
  };
  addEventListener('hashchange', open);
  addEventListener('load', open);
  $$('.toc-phone a').forEach(a => a.addEventListener('click', () => { $('.toc-phone').open = false; }));

  // ---- the contents list follows the reader
  const links = $$('#TOC a.nav-link'), places = links.map(a => document.getElementById(decodeURIComponent(a.hash.slice(1))));
  const follow = () => {
    const now = places.reduce((last, p, i) => p && p.getBoundingClientRect().top < 120 ? i : last, 0);
    links.forEach((a, i) => a.classList.toggle('active', i === now));
    const link = links[now], box = $('#quarto-margin-sidebar');
    if (link && box && (link.offsetTop < box.scrollTop || link.offsetTop > box.scrollTop + box.clientHeight - 60)) box.scrollTop = link.offsetTop - box.clientHeight / 2;
    $('.to-top')?.classList.toggle('shown', scrollY > innerHeight);
  };
  addEventListener('scroll', follow, {passive: true});
  follow();

  // ---- what scrolls sideways can be reached by Tab, and only that
  const scrollers = $$('main pre, main .table-scroll, main .cell-output-display, main .cell-output-markdown, main div.sourceCode, main math[display="block"]');
  const reach = () => scrollers.forEach(e => { e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX) ? e.tabIndex = 0 : e.removeAttribute('tabindex'); });
  addEventListener('load', reach);
  addEventListener('resize', reach);
  document.addEventListener('toggle', reach, true);

  // ---- search: every word must be found; terms and titles first, then prose, then signatures
  const base = ($('meta[name="smalldocs:offset"]') || {content: './'}).content;
  let index = null;
  const load = async () => index ??= await fetch(base + 'search.json').then(r => r.json()).catch(() => []);
  const plain = s => s.toLowerCase().normalize('NFD').replace(/[\u0300-\u036f]/g, '');
  const score = (e, words) => {
    const name = plain(e.section || e.title), title = plain(e.title), text = plain(e.text), also = plain(e.also || '');
    let total = {term: 6, prose: 2, reference: 0}[e.kind] || 0;
    for (const w of words) {
      const start = new RegExp('(^|[^a-z0-9])' + w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      const here = (name === w ? 14 : start.test(name) ? 8 : 0) + (start.test(also) ? 8 : 0) + (!e.section && start.test(title) ? 6 : 0) + (start.test(text) ? 2 : 0);
      if (!here && !(w.length > 3 && (name + also + text).includes(w))) return 0;
      total += here;
    }
    return total;
  };
  const escape = s => s.replace(/[&<>"]/g, c => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}[c]));
  const small = new Set('a an and are do does for how i in is it of on or the to what when where which why with'.split(' '));
  const asked = text => { // the words of a question that matter; all where none would be left
    const all = plain(text).split(/[\s?!.,]+/).filter(Boolean), some = all.filter(w => !small.has(w));
    return some.length ? some : all;
  };
  const snippet = (text, words) => {
    const at = Math.max(0, ...words.map(w => plain(text).indexOf(w)).filter(i => i >= 0)), from = Math.max(0, at - 70);
    let s = escape(text.slice(from, from + 220));
    words.forEach(w => { s = s.replace(new RegExp(w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'ig'), m => `<mark>${m}</mark>`); });
    return (from ? '… ' : '') + s;
  };
  $$('.smalldocs-search').forEach(box => {
    const input = $('input', box).cloneNode(true), results = $('.smalldocs-search-results', box);
    $('input', box).replaceWith(input);  // leaves the renderer's own listeners behind
    input.setAttribute('role', 'combobox'); input.setAttribute('aria-expanded', 'false');
    let at = -1;
    const show = on => { results.classList.toggle('show', on); input.setAttribute('aria-expanded', on); at = -1; };
    const run = async () => {
      const words = asked(input.value);
      if (input.value.trim().length < 2) return show(false);
      const hits = (await load()).map(e => [score(e, words), e]).filter(([s]) => s > 0).sort((a, b) => b[0] - a[0]).slice(0, 20);
      results.innerHTML = hits.length ? hits.map(([, e]) => `<a class="search-result ${e.kind}" href="${base}${e.href}"><div class="search-result-title">` +
        `${escape(e.section || e.title)} <small>${e.section ? escape(e.title) : ''}${e.kind === 'reference' ? ' · reference' : ''}</small></div>` +
        `<div class="search-result-text">${snippet(e.text, words)}</div></a>`).join('') : '<div class="search-none">Nothing found. Try one word.</div>';
      show(true);
    };
    input.addEventListener('input', run);
    input.addEventListener('focus', run);
    input.addEventListener('keydown', ev => {
      const items = $$('.search-result', results);
      if (ev.key === 'Escape') { show(false); input.blur(); }
      if (!items.length) return;
      if (ev.key === 'ArrowDown' || ev.key === 'ArrowUp') {
        ev.preventDefault();
        at = (at + (ev.key === 'ArrowDown' ? 1 : -1) + items.length) % items.length;
        items.forEach((it, i) => it.classList.toggle('active', i === at));
        items[at].scrollIntoView({block: 'nearest'});
      } else if (ev.key === 'Enter') { ev.preventDefault(); (items[at] || items[0]).click(); }
    });
    document.addEventListener('click', ev => { if (!box.contains(ev.target)) show(false); });
  });
  document.addEventListener('keydown', ev => {
    if (ev.key !== '/' || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName) || document.activeElement.isContentEditable) return;
    const input = $$('.smalldocs-search input').find(i => i.offsetParent !== null);
    if (input) { ev.preventDefault(); input.focus(); }
  });

  // ---- the ledger's filters
  $$('.ledger-page').forEach(page => {
    const form = $('form', page), cards = $$('[data-verdict]', page), told = $('.ledger-count', page);
    const apply = () => {
      const want = Object.fromEntries(new FormData(form)), words = plain(want.q || '').split(/\s+/).filter(Boolean);
      const hit = c => ['verdict', 'chapter', 'ground'].every(k => !want[k] || c.dataset[k] === want[k]) && words.every(w => plain(c.textContent).includes(w));
      cards.forEach(c => { c.hidden = !hit(c); });
      if (told) told.textContent = `${cards.filter(c => !c.hidden).length} of ${cards.length} claims`;
    };
    form.addEventListener('input', apply);
    form.addEventListener('submit', ev => ev.preventDefault());
    apply();
  });
})();
