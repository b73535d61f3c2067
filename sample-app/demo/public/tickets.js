import { linkEvents, revokeLink, serverNow, tryLink } from './api.js';
import { download, DownloadFailed } from './client.js';
import { formatRemaining, formatTime } from './format.js';
import { wordsFor, wordsForProgress, wordsForRefusal } from './happenings.js';

const TICK = 200;

/** The words under the time on the stub, by state. */
const LABELS = { active: 'left', expired: 'expired', revoked: 'revoked' };

/** How many happenings a ticket shows. */
const LOG_LINES = 4;

/**
 * The links of the person who is signed in, as tickets that count down and show what happens.
 * @param list the `<ul>`
 * @param announce says a sentence to users of screen readers
 */
export class Tickets {
  #list;
  #announce;
  #template = document.querySelector('#ticket-template');
  #tickets = new Map();
  #timer;
  #leaving = new AbortController();

  constructor({ list, announce }) {
    this.#list = list;
    this.#announce = announce;
  }

  get size() {
    return this.#tickets.size;
  }

  /** Shows a link as the API describes it; a new one on top. */
  show(link) {
    const ticket = this.#tickets.get(link.id) ?? this.#add(link);
    ticket.createdAt = Date.parse(link.createdAt ?? new Date(serverNow()));
    ticket.expiresAt = Date.parse(link.expiresAt);
    this.#showState(ticket, link.state ?? 'active');
    this.#showUses(ticket, link);
    if (!ticket.isFollowed) {
      this.#showProgress(ticket, link);
    }
    this.#showLog(ticket, link.happenings ?? []);
    this.#timer ??= setInterval(() => this.#tick(), TICK);
    return ticket.element;
  }

  clear() {
    this.#leaving.abort();
    this.#leaving = new AbortController();
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tickets.clear();
    this.#list.replaceChildren();
  }

  #add({ id, file, url, asksFor }) {
    const element = this.#template.content.cloneNode(true).firstElementChild;
    const ticket = { id, file, asksFor, url: new URL(url, location.origin).href, element };
    element.querySelector('h3').textContent = file;
    const asks = this.#part(ticket, 'asks-first');
    asks.hidden = !asksFor;
    asks.textContent = `Asks for a ${asksFor} first.`;
    const input = element.querySelector('.url');
    input.value = ticket.url;
    input.addEventListener('focus', () => input.select());
    element.addEventListener('click', ({ target }) => this.#act(target.dataset.action, ticket));
    this.#tickets.set(id, ticket);
    this.#list.prepend(element);
    return ticket;
  }

  #tick() {
    for (const ticket of this.#tickets.values()) {
      if (ticket.state !== 'active') {
        continue;
      }
      if (serverNow() < ticket.expiresAt) {
        this.#countDown(ticket);
      } else {
        this.#showState(ticket, 'expired');
        this.#announce(`The link to ${ticket.file} has expired.`);
      }
    }
  }

  #showState(ticket, state) {
    // An older event may still arrive after the link was revoked here.
    if (ticket.state === 'revoked' || ticket.state === state) {
      return;
    }
    ticket.state = state;
    const { element } = ticket;
    element.dataset.state = state;
    element.querySelector('.stub-label').textContent = LABELS[state];
    const isActive = state === 'active';
    element.classList.toggle('is-over', !isActive);
    for (const action of ['copy', 'download', 'revoke']) {
      this.#button(ticket, action).hidden = !isActive;
    }
    this.#button(ticket, 'try').hidden = isActive;
    if (!isActive) {
      this.#part(ticket, 'status').textContent = '';
    }
    this.#countDown(ticket);
  }

  #countDown({ element, state, createdAt, expiresAt }) {
    const left = state === 'active' ? expiresAt - serverNow() : 0;
    element.querySelector('.remaining').textContent = formatRemaining(left);
    const share = Math.max(0, Math.min(1, left / (expiresAt - createdAt)));
    element.querySelector('.life span').style.setProperty('--share', share.toFixed(4));
    element.toggleAttribute('data-ending', state === 'active' && left < 10_000);
  }

  #showUses(ticket, { maxDownloads, used = 0, progress }) {
    this.#part(ticket, 'uses').textContent =
      maxDownloads !== undefined ? `${used} of ${maxDownloads} used` : used > 0 ? `used ${used}×` : '';
    if (ticket.state !== 'active') {
      return;
    }
    // The last download may still be finished.
    const isUsedUp = maxDownloads !== undefined && used >= maxDownloads && progress?.complete === true;
    ticket.element.toggleAttribute('data-used-up', isUsedUp);
    for (const action of ['copy', 'download']) {
      this.#button(ticket, action).hidden = isUsedUp;
    }
    this.#button(ticket, 'try').hidden = !isUsedUp;
  }

  #showProgress(ticket, { progress }) {
    const box = this.#part(ticket, 'progress');
    box.hidden = !progress;
    if (!progress) {
      return;
    }
    const isRevoked = ticket.state === 'revoked';
    const { bytes, length, running, complete } = progress;
    box.dataset.state = complete ? 'complete' : isRevoked ? 'stopped' : running ? 'running' : 'paused';
    box.querySelector('progress').value = bytes / length;
    box.querySelector('p').textContent = wordsForProgress(progress, isRevoked);
  }

  #showLog(ticket, happenings) {
    const lines = happenings.slice(-LOG_LINES).reverse();
    const latest = lines[0] && wordsFor(lines[0]);
    if (latest && ticket.latest !== undefined && latest !== ticket.latest) {
      this.#announce(`${ticket.file}: ${latest}`);
    }
    ticket.latest = latest ?? '';
    this.#part(ticket, 'log').replaceChildren(
      ...lines.map((happening) => {
        const line = document.createElement('li');
        line.dataset.type = happening.type;
        const time = Object.assign(document.createElement('time'), {
          dateTime: new Date(happening.at).toISOString(),
          textContent: formatTime(happening.at),
        });
        line.append(time, wordsFor(happening));
        return line;
      }),
    );
  }

  async #act(action, ticket) {
    const run = this.#actions[action];
    if (!run) {
      return;
    }
    const status = this.#part(ticket, 'status');
    try {
      status.textContent = await run(ticket);
    } catch (error) {
      status.textContent = error.message;
    }
  }

  /** What the buttons of a ticket do; each returns the sentence to show. */
  #actions = {
    copy: async ({ url, element }) => {
      try {
        await navigator.clipboard.writeText(url);
        return 'Copied.';
      } catch {
        element.querySelector('.url').select();
        return 'Selected. Copy it with the keyboard.';
      }
    },

    download: async (ticket) => {
      if (ticket.asksFor) {
        window.open(ticket.url, '_blank', 'noreferrer');
        return 'Opened in a new tab.';
      }
      this.#part(ticket, 'status').textContent = 'Your browser is downloading it.';
      ticket.isFollowed = true;
      let latest;
      const show = () => this.#showProgress(ticket, { progress: latest });
      try {
        const { signal } = this.#leaving;
        for await (const progress of download(ticket, { events: linkEvents(ticket.id), signal }).progress) {
          latest = { ...progress, complete: progress.percent === 100 };
          show();
        }
        return 'Complete: your browser has all of it.';
      } catch (error) {
        latest &&= { ...latest, running: false };
        show();
        return error instanceof DownloadFailed ? wordsForRefusal(error) : '';
      } finally {
        ticket.isFollowed = false;
      }
    },

    try: async ({ url, element }) => {
      const refusal = await tryLink(url);
      if (!refusal) {
        return element.hasAttribute('data-used-up')
          ? 'It still works: a finished download may be resumed for ten more seconds.'
          : 'It still works.';
      }
      const stamp = Object.assign(document.createElement('strong'), {
        className: 'stamp',
        textContent: `${refusal.status} ${refusal.code ?? ''}`,
      });
      element.querySelector('.stamp')?.remove();
      element.querySelector('.stub').append(stamp);
      return `The server says: ${refusal.message}`;
    },

    revoke: async (ticket) => {
      await revokeLink(ticket.id);
      this.#showState(ticket, 'revoked');
      // The button that was pressed is hidden now.
      this.#button(ticket, 'try').focus();
      return 'Revoked. It no longer works for anyone.';
    },
  };

  #part({ element }, name) {
    return element.querySelector(`.${name}`);
  }

  #button({ element }, action) {
    return element.querySelector(`[data-action="${action}"]`);
  }
}
