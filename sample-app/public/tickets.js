import { revokeLink, serverNow, tryLink } from './api.js';
import { download } from './downloads.js';
import { formatRemaining } from './format.js';

const TICK = 200;

/** What the stub says under the time, by state. */
const LABELS = { active: 'left', expired: 'expired', revoked: 'revoked' };

/**
 * The links of the person who is signed in, as tickets that count down.
 * @param list the `<ul>`
 * @param announce says a sentence to people who do not see the page
 */
export class Tickets {
  #list;
  #announce;
  #template = document.querySelector('#ticket-template');
  #tickets = new Map();
  #timer;

  constructor({ list, announce }) {
    this.#list = list;
    this.#announce = announce;
  }

  get size() {
    return this.#tickets.size;
  }

  /** Shows a link on top. `link` is what the API says about it. */
  add(link) {
    const element = this.#template.content.cloneNode(true).firstElementChild;
    const ticket = {
      id: link.id,
      file: link.file,
      url: new URL(link.url, location.origin).href,
      createdAt: Date.parse(link.createdAt ?? new Date(serverNow())),
      expiresAt: Date.parse(link.expiresAt),
      element,
    };
    element.querySelector('h3').textContent = link.file;
    const url = element.querySelector('.url');
    url.value = ticket.url;
    url.addEventListener('focus', () => url.select());
    element.addEventListener('click', ({ target }) => this.#act(target.dataset.action, ticket));
    this.#tickets.set(link.id, ticket);
    this.#show(ticket, link.state ?? 'active');
    this.#list.prepend(element);
    this.#timer ??= setInterval(() => this.#tick(), TICK);
    return element;
  }

  clear() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tickets.clear();
    this.#list.replaceChildren();
  }

  #tick() {
    for (const ticket of this.#tickets.values()) {
      if (ticket.state !== 'active') continue;
      if (serverNow() < ticket.expiresAt) {
        this.#countDown(ticket);
      } else {
        this.#show(ticket, 'expired');
        this.#announce(`The link to ${ticket.file} has expired.`);
      }
    }
  }

  #show(ticket, state) {
    ticket.state = state;
    const { element } = ticket;
    element.dataset.state = state;
    element.querySelector('.stub-label').textContent = LABELS[state];
    const isActive = state === 'active';
    element.classList.toggle('is-over', !isActive);
    for (const action of ['copy', 'download', 'revoke']) this.#button(ticket, action).hidden = !isActive;
    this.#button(ticket, 'try').hidden = isActive;
    if (!isActive) element.querySelector('.status').textContent = '';
    this.#countDown(ticket);
  }

  #countDown({ element, state, createdAt, expiresAt }) {
    const left = state === 'active' ? expiresAt - serverNow() : 0;
    element.querySelector('.remaining').textContent = formatRemaining(left);
    const share = Math.max(0, Math.min(1, left / (expiresAt - createdAt)));
    element.querySelector('.life span').style.setProperty('--share', share.toFixed(4));
    element.toggleAttribute('data-ending', state === 'active' && left < 10_000);
  }

  async #act(action, ticket) {
    const run = this.#actions[action];
    if (!run) return;
    const status = ticket.element.querySelector('.status');
    try {
      status.textContent = await run(ticket);
    } catch (error) {
      status.textContent = error.message;
    }
  }

  /** What the buttons of a ticket do; each answers the sentence to show. */
  #actions = {
    copy: async ({ url, element }) => {
      try {
        await navigator.clipboard.writeText(url);
        return 'Copied.';
      } catch {
        element.querySelector('.url').select();
        return 'Selected. Copy it with your keyboard.';
      }
    },

    download: ({ url }) => {
      download(url);
      return 'Your browser is downloading it.';
    },

    try: async ({ url, element }) => {
      const refusal = await tryLink(url);
      if (!refusal) return 'It still opens.';
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
      this.#show(ticket, 'revoked');
      // the button that was pressed is gone
      this.#button(ticket, 'try').focus();
      return 'Taken back. Whoever has it can no longer use it.';
    },
  };

  #button({ element }, action) {
    return element.querySelector(`[data-action="${action}"]`);
  }
}
