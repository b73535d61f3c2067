import { Injectable } from '@nestjs/common';
import { parseCookie } from 'cookie';
import { randomBytes } from 'node:crypto';

const PASSWORDS: Readonly<Record<string, string>> = { ada: 'analytical', grace: 'compiler' };

/** Who is signed in, by the session's cookie. */
@Injectable()
export class Sessions {
  private readonly users = new Map<string, string>();

  /** @returns the session's id, or undefined if name and password do not fit */
  start(name: string, password: string): string | undefined {
    if (!Object.hasOwn(PASSWORDS, name) || PASSWORDS[name] !== password) {
      return undefined;
    }
    const id = randomBytes(24).toString('base64url');
    this.users.set(id, name);
    return id;
  }

  userOf(cookies: string | undefined): string | undefined {
    return this.users.get(parseCookie(cookies ?? '').sid ?? '');
  }
}
