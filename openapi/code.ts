/** The meaning of every fault code, worded for callers of the API. Knows no status: functions/http.ts assigns those. */
import type { ErrorCode } from '../lib/errors.ts';
import { oneOf } from './one-of.ts';

/** What each code means, as a clause without a full stop. */
export const CODE_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  hostNotFound: 'the name of no directory server could be resolved',
  connectionRefused: 'the directory server refuses connections',
  connectionTimeout: 'the directory server does not answer',
  connectionLost: 'the directory server closed the connection',
  notLdap: 'the server that answers is not an LDAP server',
  startTlsRefused: 'the directory server does not support StartTLS',
  certificateRefused: 'the certificate of the directory server is not trusted',
  tlsRefused: 'no TLS connection with the directory server is possible',
  encryptionRequired: 'the directory server requires encryption',
  bindRefused: 'the directory server refuses the bind DN or its password',
  operationTimeout: 'the directory server did not answer in time',
  baseNotFound: 'the base DN does not exist',
  baseUnknown: 'no base DN is set, and the directory server names none',
  readRefused: 'the bind DN may not read the base',
  uniqueIdMissing: 'no unique id of entries can be read',
  directoryError: 'the directory server answered with another error',
  directoryUnavailable: 'no directory server can verify the password at the moment',
  notConfigured: 'no settings are saved yet',
  invalidRequest: 'the input is invalid; `errors` lists every fault',
  malformedPath: 'the path contains a malformed percent escape',
  malformedJson: 'the body is not valid JSON in UTF-8',
  unsupportedMediaType: 'the content type of the body is not JSON',
  payloadTooLarge: 'the body is too long',
  notAuthenticated: 'wrong user name or password, or no session of an active administrator',
  throttled: 'too many attempts; `Retry-After` says when the next one is allowed',
  notFound: 'the address names nothing that exists',
  methodNotAllowed: 'the address does not support this method; `Allow` lists those that it supports',
  conflict: 'the request contradicts what is stored, or others keep changing it',
  userNameTaken: 'another user has this user name',
  lastAdministrator: 'no active administrator would be left',
  versionMismatch: 'it has been changed since you read it',
  runActive: 'a run is active; `runId` is its id',
  runNotActive: 'the run has already ended',
  nothingWithheld: 'the run has withheld nothing that can be approved, or it has been approved already',
  leaseLost: 'another run has taken over',
  timeLimit: 'the request took too long; check whether it was carried out',
  interrupted: 'the run stopped without reporting how it ended',
  storeUnavailable: 'a service that this system depends on does not answer',
  internal: 'an unexpected error; search the log for `requestId`',
};

/** The codes as a schema, with their meanings as its description. */
export const errorCode = oneOf(CODE_MEANINGS).meta({ id: 'ErrorCode' });
