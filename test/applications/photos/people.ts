import { Injectable } from '@nestjs/common';

/** Who asks: a person, or somebody who was given the key of an album. */
export type Caller = { readonly person: string } | { readonly album: string };

const API_KEYS = new Map([['key-of-ada', 'ada'], ['key-of-grace', 'grace']]); // prettier-ignore
const SESSIONS = new Map([['session-of-ada', 'ada']]);
const SHARE_KEYS = new Map([['key-of-holidays', 'holidays']]);

/** People and albums, by what a request shows. */
@Injectable()
export class People {
  byApiKey(key: unknown): Caller | undefined {
    return personOf(API_KEYS.get(String(key)));
  }

  bySession(id: string | undefined): Caller | undefined {
    return personOf(SESSIONS.get(String(id)));
  }

  byShareKey(key: unknown): Caller | undefined {
    const album = SHARE_KEYS.get(String(key));
    return album === undefined ? undefined : { album };
  }
}

function personOf(person: string | undefined): Caller | undefined {
  return person === undefined ? undefined : { person };
}
