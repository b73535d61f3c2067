import type { DownloadLink, LeaseOptions } from 'nestjs-download-auth';

/** In your application: `ConfigService`. */
export abstract class AppConfig {
  /** Signs the access tokens; at least 32 bytes. This package verifies them with the same secret. */
  abstract readonly jwtSecret: string;
  /** The folder of the files. */
  abstract readonly filesDir: string;
  /** The folder of what pages show themselves. */
  abstract readonly mediaDir: string;
  /** Where downloads of limited links are counted. Default: in memory. */
  abstract readonly leases?: LeaseOptions;
}

/** In your application: the table of users. */
export abstract class Users {
  abstract hasPassword(username: string, password: string): boolean | Promise<boolean>;
}

/** In your application: a column of the table of links. */
export abstract class LinkPasswords {
  abstract hashOf(linkId: string): Promise<string | undefined>;
}

/** What the table of links says of one beside its URL and its end. */
export interface LinkTerms {
  readonly maxDownloads?: number;
  readonly confirm?: boolean | 'browsers';
  /** Made by `hashPassword()`, of a link that asks for a password. */
  readonly passwordHash?: string;
}

/** In your application: a table of links, to list and revoke them. Links work without it. */
export abstract class LinkLedger {
  abstract add(owner: string, file: string, link: DownloadLink, terms: LinkTerms): Promise<void>;
  /** The links of one person, the newest first. */
  abstract listOf(owner: string): Promise<object[]>;
  abstract ownerOf(id: string): Promise<string | undefined>;
  abstract markRevoked(id: string): Promise<void>;
}
