import { ForbiddenException, Injectable, NotFoundException } from '@nestjs/common';
import type { Caller } from './people.js';

export interface Photo {
  readonly owner: string;
  readonly album: string;
  /** In the folder of the library. */
  readonly file: string;
  /** As the camera named it. */
  readonly name: string;
}

/** The photos of the library. */
@Injectable()
export class Photos {
  constructor(
    readonly folder: string,
    private readonly photos: Readonly<Record<string, Photo>>,
  ) {}

  get(id: string): Photo {
    const photo = Object.hasOwn(this.photos, id) ? this.photos[id] : undefined;
    if (!photo) {
      throw new NotFoundException('There is no such photo.');
    }
    return photo;
  }

  visibleTo(caller: Caller, id: string): Photo {
    const photo = this.get(id);
    const isVisible = 'person' in caller ? photo.owner === caller.person : photo.album === caller.album;
    if (!isVisible) {
      throw new ForbiddenException('This photo is not shared with you.');
    }
    return photo;
  }
}
