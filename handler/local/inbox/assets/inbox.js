// Without this file the page can be read; with it, it is live, has keys and can
// delete. All HTML comes from the server, escaped there.
'use strict'

const $ = selector => document.querySelector(selector)
document.documentElement.classList.add('js')

const rows = () => [...document.querySelectorAll('#list [data-id]')]
const current = () => $('#list [aria-current]')
const chosen = () => document.activeElement?.closest('#list [data-id]') ?? current()

// load fetches a page and puts the named parts of it in place of ours, unless
// it is stale by then.
async function load(url, parts, stale) {
  const answer = await fetch(url, { headers: { Accept: 'text/html' } })
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  if (stale()) return false
  for (const part of parts) {
    const focused = document.activeElement?.closest(`${part} [data-id]`)?.dataset.id
    const { scrollTop } = $(part)
    $(part).replaceChildren(...page.querySelector(part).childNodes)
    $(part).scrollTop = part === '#list' ? scrollTop : 0
    if (focused) $(`${part} [data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true })
  }
  if (parts.includes('#message')) {
    document.title = page.title
    document.body.className = page.body.className
    current()?.scrollIntoView({ block: 'nearest' })
  }
  return true
}

// A later visit overtakes an earlier one; a refresh never overtakes a visit.
let visits = 0
let visiting = 0
async function visit(url, how = 'pushState') {
  const turn = ++visits
  visiting++
  try {
    if (!await load(url, ['#list', '#message'], () => turn !== visits)) return
    if (how) history[how](null, '', url)
  } finally {
    visiting--
  }
}

async function search(text) {
  const url = text.trim() ? '/?q=' + encodeURIComponent(text.trim()) : '/'
  await visit(url, 'replaceState')
}

function step(by) {
  const all = rows()
  const at = all.indexOf(chosen())
  const next = all[at < 0 ? 0 : at + by]
  if (!next) return
  next.focus()
  if (matchMedia('(min-width: 801px)').matches) visit(next.href)
}

async function remove(id) {
  const all = rows()
  const at = all.findIndex(row => row.dataset.id === id)
  const next = all[at + 1] ?? all[at - 1]
  const answer = await fetch('/api/messages/' + encodeURIComponent(id), { method: 'DELETE' })
  if (!answer.ok && answer.status !== 404) return say('The message could not be deleted.')
  say('Message deleted')
  const wide = matchMedia('(min-width: 801px)').matches
  await visit(next && wide ? next.href : '/' + location.search.replace(/([?&])tab=\w+&?/, '$1'), 'replaceState')
}

function say(sentence) { $('#live [role=status]').textContent = sentence }

function askToClear() {
  const sure = $('#sure')
  sure.returnValue = 'no'
  sure.showModal()
  sure.onclose = async () => {
    if (sure.returnValue !== 'yes') return
    await fetch('/api/messages', { method: 'DELETE' })
    $('.search input').value = ''
    say('All messages deleted')
    await visit('/')
  }
}

document.addEventListener('click', event => {
  const link = event.target.closest('a[data-visit]')
  if (link && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
    event.preventDefault()
    if (link.classList.contains('home') || link.closest('.none')) $('.search input').value = ''
    visit(link.href)
    return
  }
  const button = event.target.closest('button[data-do]')
  if (!button) return
  if (button.dataset.do === 'delete') remove(button.dataset.id)
  if (button.dataset.do === 'delete-all') askToClear()
  if (button.dataset.do === 'help') $('#help').showModal()
})

const keys = {
  j: () => step(1), ArrowDown: () => step(1),
  k: () => step(-1), ArrowUp: () => step(-1),
  '/': () => $('.search input').select(),
  '?': () => $('#help').showModal(),
  '#': () => { const row = chosen(); if (row) remove(row.dataset.id) },
  Escape: () => { if (document.body.classList.contains('reading')) visit($('.back')?.href ?? '/') },
}
keys.Delete = keys['#']
for (const n of [1, 2, 3, 4, 5]) keys[n] = () => document.querySelectorAll('[data-tab]')[n - 1]?.click()

document.addEventListener('keydown', event => {
  if (event.metaKey || event.ctrlKey || event.altKey || $('dialog[open]')) return
  if (event.target.matches('input')) {
    if (event.key === 'Escape' || event.key === 'ArrowDown') event.target.blur()
    if (event.key !== 'ArrowDown') return
  }
  // The arrows scroll what has the focus, if that can be scrolled.
  if (event.key.startsWith('Arrow') && event.target.matches('pre, .scroll')) return
  if (event.key === 'Enter' && chosen() && !event.target.matches('a, button, input')) {
    event.preventDefault()
    visit(chosen().href).then(() => $('#message').focus())
    return
  }
  const act = keys[event.key]
  if (!act) return
  event.preventDefault()
  act()
})

let typing
$('.search input').addEventListener('input', event => {
  clearTimeout(typing)
  typing = setTimeout(search, 150, event.target.value)
})
$('.search').addEventListener('submit', event => {
  event.preventDefault()
  clearTimeout(typing)
  search($('.search input').value).then(() => rows()[0]?.focus())
})

addEventListener('popstate', () => {
  $('.search input').value = new URLSearchParams(location.search).get('q') ?? ''
  visit(location.href, null)
})

// refresh renews the list only: the message being read stays as it is.
let waiting
let refreshes = 0
function refresh(fresh) {
  clearTimeout(waiting)
  waiting = setTimeout(async () => {
    if (visiting) return refresh(fresh)
    const before = new Set(rows().map(row => row.dataset.id))
    const parts = document.body.classList.contains('reading') ? ['#list'] : ['#list', '#message']
    const [visit, turn] = [visits, ++refreshes]
    if (!await load(location.href, parts, () => visit !== visits || turn !== refreshes)) return
    for (const row of rows()) if (!before.has(row.dataset.id)) row.classList.add('fresh')
    if (fresh) say('New message')
  }, 60)
}

const stream = new EventSource('/api/events')
stream.addEventListener('change', event => refresh(JSON.parse(event.data).type === 'added'))
let opened = false
stream.onopen = () => {
  $('#live').className = 'live on'
  $('#live').title = 'Live: new messages appear by themselves'
  if (opened) refresh(false)
  opened = true
}
stream.onerror = () => {
  $('#live').className = 'live'
  $('#live').title = 'No connection to the emulator'
}
