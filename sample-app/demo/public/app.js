import * as api from './api.js';
import { download, downloadThroughMemory } from './downloads.js';
import { formatBytes, kindOf } from './format.js';
import { followLinks } from './live.js';
import { clearMedia, showMedia } from './media.js';
import { Tickets } from './tickets.js';

/** From this size on, the page warns how much memory a download by header needs; bytes. */
const LARGE = 50_000_000;

const find = (selector) => document.querySelector(selector);
const announce = (sentence) => (find('#announcer').textContent = sentence);
const tickets = new Tickets({ list: find('#tickets'), announce });

let selected;
let fetching;
let stopFollowing;
let sessionEnd;

/* signing in and out */

find('#sign-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const { username, password } = Object.fromEntries(new FormData(form));
  await whileBusy(form.querySelector('.primary'), async () => {
    find('#sign-in-problem').textContent = find('#sign-in-notice').textContent = '';
    try {
      const { expiresAt } = await api.login(username, password);
      form.reset();
      await enter(username, expiresAt);
    } catch (error) {
      find('#sign-in-problem').textContent = error.message;
    }
  });
});

for (const button of document.querySelectorAll('[data-user]')) {
  button.addEventListener('click', () => {
    const { username, password } = find('#sign-in').elements;
    username.value = button.dataset.user;
    password.value = 'demo';
    find('#sign-in .primary').focus();
  });
}

find('#sign-out').addEventListener('click', () => leave('You are signed out. Your links keep working.'));

async function enter(username, expiresAt) {
  find('#session-name').textContent = username;
  showSession(true);
  find('#files-title').focus({ preventScroll: true });
  clearTimeout(sessionEnd);
  sessionEnd = setTimeout(() => leave('Your session has ended. Sign in again.'), expiresAt - api.serverNow());
  await Promise.all([showFiles(), showLinks(), showMedia().catch(endedBy)]);
}

function leave(reason) {
  clearTimeout(sessionEnd);
  fetching?.abort();
  stopFollowing?.();
  tickets.clear();
  clearMedia();
  selected = undefined;
  find('#file-list').replaceChildren();
  find('#file').hidden = true;
  showSession(false);
  find('#sign-in-notice').textContent = reason;
  find('#sign-in').elements.username.focus();
  announce(reason);
  return api.logout();
}

function showSession(isSignedIn) {
  find('#welcome').hidden = isSignedIn;
  find('#workspace').hidden = find('#media').hidden = find('#session').hidden = !isSignedIn;
  window.scrollTo({ top: 0, behavior: 'instant' });
}

/* the files */

async function showFiles() {
  const list = find('#file-list');
  list.setAttribute('aria-busy', 'true');
  notice('#files-notice');
  try {
    const files = await api.listFiles();
    list.replaceChildren(...files.map(fileRow));
    if (files.length === 0) {
      notice('#files-notice', 'This folder is empty. Put files into FILES_DIR and try again.', showFiles);
    } else {
      select(files.reduce((a, b) => (b.size > a.size ? b : a)));
    }
  } catch (error) {
    if (endedBy(error)) {
      return;
    }
    list.replaceChildren();
    notice('#files-notice', error.message, showFiles);
  } finally {
    list.removeAttribute('aria-busy');
  }
}

function fileRow(file) {
  const row = find('#file-template').content.cloneNode(true).firstElementChild;
  row.querySelector('.kind').textContent = kindOf(file.name);
  row.querySelector('.name').textContent = file.name;
  row.querySelector('.meta').textContent = formatBytes(file.size);
  const button = row.querySelector('button');
  button.dataset.id = file.id;
  button.addEventListener('click', () => {
    select(file);
    // On a narrow screen the details are below the list.
    find('#file').scrollIntoView({ block: 'nearest' });
  });
  return row;
}

function select(file) {
  if (fetching && selected?.id !== file.id) {
    fetching.abort();
  }
  selected = file;
  for (const row of document.querySelectorAll('.file-row')) {
    row.setAttribute('aria-pressed', String(row.dataset.id === file.id));
  }
  find('#file').hidden = false;
  find('#file-name').textContent = file.name;
  find('#file-meta').textContent = `${formatBytes(file.size)}, ${file.type}`;
  for (const path of document.querySelectorAll('[data-path]')) {
    path.textContent = api.filePath(file.id);
  }
  showLinkPath();
  for (const status of document.querySelectorAll('#file [data-status]')) {
    status.textContent = '';
  }
  const warning = find('#memory-warning');
  warning.hidden = file.size < LARGE;
  warning.textContent = `This tab needs memory for all ${formatBytes(file.size)} of the file. A link or the cookie needs none.`;
}

/* the four ways */

const tabs = [...document.querySelectorAll('[role=tab]')];
for (const tab of tabs) {
  tab.addEventListener('click', () => openTab(tab));
  tab.addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    const target =
      key === 'Home'
        ? tabs[0]
        : key === 'End'
          ? tabs.at(-1)
          : step && tabs.at((tabs.indexOf(tab) + step) % tabs.length);
    if (!target) {
      return;
    }
    openTab(target);
    target.focus();
  });
}
openTab(tabs[0]);

function openTab(chosen) {
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.setAttribute('aria-selected', String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    find(`#${tab.getAttribute('aria-controls')}`).hidden = !isChosen;
  }
}

function showLinkPath() {
  const path = find('#link-form').elements.slow.checked ? api.slowPath : api.filePath;
  find('#way-link [data-path]').textContent = path(selected.id);
}

find('#link-form').elements.slow.addEventListener('change', showLinkPath);

find('#link-form').elements.asks.addEventListener('change', ({ currentTarget }) => {
  const { password } = find('#link-form').elements;
  password.required = currentTarget.value === 'password';
  password.closest('label').hidden = !password.required;
});

find('#link-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const { amount, unit, maxDownloads, asks, password, slow } = Object.fromEntries(new FormData(form));
  return attempt('#way-link', form.querySelector('.primary'), async (status) => {
    const file = selected;
    const limits = {
      expiresIn: `${amount}${unit}`,
      ...(maxDownloads && { maxDownloads: Number(maxDownloads) }),
    };
    const question = { confirm: { confirm: true }, password: { password } }[asks];
    const asksFor = { confirm: 'confirmation', password: 'password' }[asks];
    const link = await (slow ? api.createSlowLink : api.createLink)(file.id, { ...limits, ...question });
    tickets
      .show({ ...link, ...limits, asksFor, file: file.id, used: 0 })
      .scrollIntoView({ block: 'nearest' });
    notice('#links-notice');
    status.textContent = 'Your link is below. Watch there what happens to it.';
  });
});

find('#by-cookie').addEventListener('click', (event) =>
  attempt('#way-cookie', event.currentTarget, async (status) => {
    const file = selected;
    await api.setCookie();
    download(api.filePath(file.id));
    status.textContent = `The cookie is set, and your browser is downloading ${file.name}.`;
  }),
);

find('#by-query').addEventListener('click', (event) =>
  attempt('#way-query', event.currentTarget, (status) => {
    download(api.filePathWithToken(selected.id));
    status.textContent = `Your browser is downloading ${selected.name}. The token is in its download history now.`;
  }),
);

find('#by-header').addEventListener('click', (event) =>
  attempt('#way-header', event.currentTarget, async (status) => {
    const bar = find('#by-header-progress');
    const held = find('#by-header-held');
    const cancel = find('#by-header-cancel');
    fetching = new AbortController();
    bar.hidden = held.hidden = cancel.hidden = false;
    bar.value = 0;
    held.textContent = '';
    try {
      const total = await downloadThroughMemory(selected, {
        signal: fetching.signal,
        onProgress: (bytes, expected) => {
          bar.max = expected;
          bar.value = bytes;
          held.textContent = `${formatBytes(bytes)} of ${formatBytes(expected)} in memory`;
        },
      });
      status.textContent = `Saved. All ${formatBytes(total)} were held in memory first.`;
    } catch (error) {
      if (error.name !== 'AbortError') {
        throw error;
      }
      status.textContent = 'Cancelled. The bytes received so far were discarded.';
    } finally {
      bar.hidden = held.hidden = cancel.hidden = true;
      fetching = undefined;
    }
  }),
);

find('#by-header-cancel').addEventListener('click', () => fetching?.abort());

/* the links */

async function showLinks() {
  stopFollowing?.();
  tickets.clear();
  try {
    for (const link of (await api.listLinks()).reverse()) {
      tickets.show(link);
    }
    notice('#links-notice', tickets.size > 0 ? undefined : 'None yet. New links appear here and count down.');
    stopFollowing = followLinks({ onLink: showLiveLink, onState: showLiveState, onRefusal: endedBy });
  } catch (error) {
    if (!endedBy(error)) {
      notice('#links-notice', error.message, showLinks);
    }
  }
}

function showLiveLink(link) {
  tickets.show(link);
  notice('#links-notice');
}

function showLiveState(state) {
  find('#live').dataset.state = state;
  find('#live').textContent = { live: 'Live', lost: 'Connection lost, reconnecting' }[state];
}

/* small things */

/** Runs an action of one of the four ways, and shows errors there. */
async function attempt(way, button, action) {
  const status = find(`${way} [data-status]`);
  status.textContent = '';
  await whileBusy(button, async () => {
    try {
      await action(status);
    } catch (error) {
      if (!endedBy(error)) {
        status.textContent = error.message;
      }
    }
  });
}

/** Runs one action at a time. `disabled` would take the keyboard focus from the button. */
async function whileBusy(button, action) {
  if (button.ariaDisabled === 'true') {
    return;
  }
  button.ariaDisabled = 'true';
  try {
    await action();
  } finally {
    button.ariaDisabled = null;
  }
}

/** A 401 from the API means that the session has ended. */
function endedBy(error) {
  if (error.status !== 401) {
    return false;
  }
  leave('Your session has ended. Sign in again.');
  return true;
}

/** Shows a sentence in place of a list, with a button if `again` is given; without a sentence, hides it. */
function notice(selector, sentence, again) {
  const element = find(selector);
  element.hidden = !sentence;
  element.textContent = sentence ?? '';
  if (!sentence || !again) {
    return;
  }
  const button = Object.assign(document.createElement('button'), {
    type: 'button',
    textContent: 'Try again',
  });
  button.addEventListener('click', again);
  element.append(' ', button);
}
