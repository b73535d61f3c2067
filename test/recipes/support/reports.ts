import { Injectable } from '@nestjs/common';
import { GetObjectCommand, HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Download } from 'nestjs-download-auth';
import type { Readable } from 'node:stream';

@Injectable()
export class Reports {
  private readonly s3 = new S3Client({});

  async open(key: string) {
    const object = { Bucket: 'reports', Key: key };
    const head = await this.s3.send(new HeadObjectCommand(object));
    return Download.source(
      {
        length: head.ContentLength ?? 0,
        etag: head.ETag,
        lastModified: head.LastModified,
        open: async ({ start, end, signal }) => {
          const Range = `bytes=${start}-${end - 1}`; // end is the byte after the last
          const { Body } = await this.s3.send(new GetObjectCommand({ ...object, Range }), {
            abortSignal: signal,
          });
          return Body as Readable;
        },
      },
      { filename: key },
    );
  }
}
