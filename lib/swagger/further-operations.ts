import { ANSWER_FIELD } from '../prompts/page.js';
import { REFUSALS } from '../refusals/refusals.js';
import { header, RANGES } from './operation.js';
import type { DescribedDownload, Operation, Parameter, Response } from './operation.js';

/** HEAD answers as GET without a range does, and without a body. */
export function headOperation(get: Operation): Operation {
  const responses = { ...get.responses };
  delete responses[206];
  delete responses[416];
  for (const [status, response] of Object.entries(responses) as [string, Response][]) {
    const { content: _content, ...rest } = response;
    responses[status] = rest;
  }
  return {
    ...get,
    operationId: get.operationId && `${get.operationId}_head`,
    parameters: get.parameters?.filter((one) => !RANGES.includes(one as Parameter)),
    responses,
  };
}

const ANSWERED: Response = {
  description: 'The answer is right: the same URL downloads for whoever sends the cookie',
  headers: {
    Location: header('Where the download is'),
    'Set-Cookie': header('Says that this client answered'),
  },
};

const REFUSING = new Set<number>(Object.values(REFUSALS).map(({ status }) => status));

/**
 * What a program sends to a link with a challenge: the answer, which the answer to it turns into a cookie.
 * Undefined where the route knows no challenge, or the URLs of links do not open it.
 */
export function answerOperation(
  get: Operation,
  { options, policy }: DescribedDownload,
): Operation | undefined {
  const mayAsk =
    policy.auth !== false && policy.challenge && policy.transports.query && options.linkKeys.length > 0;
  if (!mayAsk) {
    return undefined;
  }
  const properties = { [ANSWER_FIELD]: { type: 'string' } };
  const schema = { type: 'object', properties, required: [ANSWER_FIELD] };
  const refusals = Object.entries(get.responses).filter(([status]) => REFUSING.has(Number(status)));
  return {
    tags: get.tags,
    operationId: get.operationId && `${get.operationId}_answer`,
    summary: 'Answer the challenge of a link',
    parameters: get.parameters?.filter((one) => 'in' in one && one.in === 'path'),
    requestBody: { required: true, content: { 'application/x-www-form-urlencoded': { schema } } },
    responses: { 303: ANSWERED, ...Object.fromEntries(refusals) },
    security: [{ [`${options.tokenNames.query}-query`]: [] }],
  };
}
