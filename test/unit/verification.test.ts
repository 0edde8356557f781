/** The proof of identity behind an accepted password, for every pair of answers of bind and reader. */
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import type { Directory, OpenDirectory } from '../../lib/directory/directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import type { SoughtEntry, Verification } from '../../lib/login/verification.ts';
import { verifyInDirectory } from '../../lib/login/verification.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import { anEntry } from '../support/people.ts';

const OLD = 'uid=anna,ou=people,dc=example,dc=com';
const NEW = 'uid=anna.w,ou=people,dc=example,dc=com';
const SOUGHT: SoughtEntry = { id: '1', idAttribute: 'entryuuid', dn: OLD };
const ACCEPTED = { kind: 'accepted', sought: SOUGHT, state: {} };
const INVALID = { kind: 'rejected', reason: 'invalidCredentials' };

let house: House;
const blind = new ServiceError('readRefused', 'the reader sees nobody');
const lost = new ServiceError('connectionLost', 'the server hung up');

beforeEach(async () => {
  house = await startHouse();
  house.directory.people = [aPerson('1', OLD, 'right'), aPerson('9', 'uid=zoe,dc=example,dc=com', 'of zoe')];
});

const aPerson = (id: string, dn: string, password: string) => ({
  entry: anEntry(id, { uid: [`u${id}`] }, { dn }),
  password,
});

async function verify(
  password: string,
  { sought = SOUGHT, open }: { sought?: SoughtEntry; open?: OpenDirectory } = {},
): Promise<Verification> {
  const directory = keepDirectory(house.ports.settings, open ?? house.directory.open, house.ports.clock);
  return verifyInDirectory(directory, (await directory.get())!, async () => sought, password);
}

/** The memory directory with some of its answers replaced. */
const withAnswers =
  (change: (open: Directory) => Partial<Directory>): OpenDirectory =>
  (settings) => {
    const open = house.directory.open(settings);
    return { ...open, ...change(open) };
  };

describe('the usual login', () => {
  test('is one bind and one look at the same time, and reads no entry of the person', async () => {
    expect(await verify('right')).toEqual(ACCEPTED);
    expect(house.directory.calls).toMatchObject({ binds: [OLD], findDn: 1, ownIds: 0 });
  });

  test('carries what the directory says of the password', async () => {
    const passwordState = { passwordExpiresInSeconds: 3_600, graceLoginsLeft: 2 };
    house.directory.people = [{ ...aPerson('1', OLD, 'right'), passwordState }];
    expect(await verify('right')).toEqual({ ...ACCEPTED, state: passwordState });
  });

  test('looks the person up while the bind is still waiting for its answer', async () => {
    const steps: string[] = [];
    const open = withAnswers((usual) => ({
      verifyPassword: async (...attempt) => {
        steps.push('bind sent');
        await new Promise((resolve) => setImmediate(resolve));
        steps.push('bind answered');
        return usual.verifyPassword(...attempt);
      },
      findDn: async (...asked) => {
        steps.push('look-up sent');
        return usual.findDn(...asked);
      },
    }));
    expect(await verify('right', { open })).toEqual(ACCEPTED);
    expect(steps.indexOf('look-up sent')).toBeLessThan(steps.indexOf('bind answered'));
  });
});

describe('an accepted bind', () => {
  const faults = [
    ['is down', unreachable()],
    ['sees nobody', blind],
    ['may not bind', new ServiceError('bindRefused', 'its password is wrong')],
  ] as const;

  test.each(faults)('is proven by the person’s own connection if the reader %s', async (_how, fault) => {
    house.directory.findDnFault = fault;
    expect(await verify('right')).toEqual(ACCEPTED);
    expect(house.directory.calls).toMatchObject({ binds: [OLD], ownIds: 1 });
  });

  test.each(faults)('is no answer if the reader %s and people can’t read their own id', async (_how, fault) => {
    house.directory.findDnFault = fault;
    house.directory.hidesOwnEntries = true;
    expect(await verify('right')).toEqual({ kind: 'unknown', fault, sent: 'accepted' });
    expect(house.directory.calls.binds).toEqual([OLD]);
  });

  test('is no answer if the reader is down and the entry is somebody else’s', async () => {
    house.directory.people = [aPerson('2', OLD, 'of a stranger')];
    house.directory.findDnFault = unreachable();
    expect(await verify('of a stranger')).toMatchObject({ kind: 'unknown', sent: 'accepted' });
  });

  test('is proven by the own connection if the reader may see everybody but this person', async () => {
    house.directory.hiddenIds.add('1');
    expect(await verify('right')).toEqual(ACCEPTED);
    expect(house.directory.calls.ownIds).toBe(1);
  });

  test('of a stranger who has the DN of a person who is gone is a wrong password', async () => {
    house.directory.people = [aPerson('2', OLD, 'of a stranger')];
    expect(await verify('of a stranger')).toEqual(INVALID);
  });

  test('under an id that differs in letter case alone is not taken as the person’s', async () => {
    house.directory.people = [aPerson('AB1', OLD, 'of a stranger'), aPerson('9', NEW, 'x')];
    house.directory.findDnFault = unreachable();
    const sought = { ...SOUGHT, id: 'ab1' };
    expect(await verify('of a stranger', { sought })).toMatchObject({ kind: 'unknown', sent: 'accepted' });
  });

  test('is no answer, and says what to do, if the reader proves absence and the own id can’t be read', async () => {
    house.directory.hiddenIds.add('1');
    house.directory.hidesOwnEntries = true;
    const unknown = await verify('right');
    expect(unknown).toMatchObject({ kind: 'unknown', sent: 'accepted', fault: { code: 'directoryUnavailable' } });
    expect((unknown as Extract<Verification, { kind: 'unknown' }>).fault.advice).toMatch(
      /right to read the unique id/u,
    );
  });

  test('whose connection breaks before the own id is read is no answer', async () => {
    house.directory.findDnFault = blind;
    const open = withAnswers((usual) => ({
      verifyPassword: async (dn, password, whenAccepted) =>
        usual.verifyPassword(dn, password, () => whenAccepted!({ readId: async () => Promise.reject(lost) })),
    }));
    expect(await verify('right', { open })).toEqual({ kind: 'unknown', fault: blind, sent: 'accepted' });
  });
});

describe('a rejected bind', () => {
  const locked = withAnswers(() => ({ verifyPassword: async () => ({ kind: 'rejected', reason: 'accountLocked' }) }));

  test('gives its reason if the reader says that the DN is the person’s', async () => {
    expect(await verify('right', { open: locked })).toEqual({ kind: 'rejected', reason: 'accountLocked' });
  });

  test('is a wrong password, whatever its reason, if the person is gone: it is about somebody else', async () => {
    house.directory.people = [aPerson('2', OLD, 'x')];
    expect(await verify('right', { open: locked })).toEqual(INVALID);
  });

  test.each([unreachable(), blind])('is no answer while the reader fails, and is told to be a guess', async (fault) => {
    house.directory.findDnFault = fault;
    expect(await verify('wrong')).toEqual({ kind: 'unknown', fault, sent: 'rejected' });
    expect(house.directory.calls.binds).toEqual([OLD]);
  });
});

describe('a person who has moved', () => {
  beforeEach(() => {
    house.directory.people = [aPerson('1', NEW, 'right')];
  });

  test('gets in under the new DN, which is told', async () => {
    expect(await verify('right')).toEqual({ ...ACCEPTED, sought: { ...SOUGHT, dn: NEW } });
    expect(await verify('wrong')).toEqual(INVALID);
  });

  test('is not taken for who has the former DN now, whatever password fits it', async () => {
    house.directory.people.push(aPerson('2', OLD, 'of a stranger'));
    expect(await verify('of a stranger')).toEqual(INVALID);
    expect(await verify('right')).toMatchObject({ kind: 'accepted', sought: { dn: NEW } });
  });

  test('whose second bind finds no server is no answer, and the first bind stays a guess', async () => {
    const open = withAnswers((usual) => ({
      verifyPassword: async (dn, ...rest) => {
        if (dn === NEW) throw lost;
        return usual.verifyPassword(dn, ...rest);
      },
    }));
    expect(await verify('right', { open })).toEqual({ kind: 'unknown', fault: lost, sent: 'rejected' });
  });
});

describe('a password that may have been received', () => {
  test('goes nowhere else: no second bind, under no other settings', async () => {
    house.directory.people = [aPerson('1', NEW, 'right')];
    house.directory.silent = lost;
    const open = withAnswers(() => ({}));
    const directory = keepDirectory(house.ports.settings, open, house.ports.clock);
    const current = (await directory.get())!;
    await house.configure({ scope: { baseDn: 'dc=new' } });
    house.passSeconds(6);

    const result = await verifyInDirectory(directory, current, async () => SOUGHT, 'right');

    expect(result).toEqual({ kind: 'unknown', fault: lost, sent: 'unanswered' });
    expect(house.directory.calls.binds).toEqual([OLD]);
  });

  test.each([
    ['is on its way', { verifyPassword: () => new Promise<never>(() => {}) }, 'unanswered'],
    ['was rejected', { findDn: () => new Promise<never>(() => {}) }, 'rejected'],
  ] as const)('and %s when the time is over is told so', async (_how, change, sent) => {
    await house.configure({
      connection: { timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 0.05 } },
    });
    const open = withAnswers(() => change);
    expect(await verify('wrong', { open })).toMatchObject({
      kind: 'unknown',
      sent,
      fault: { code: 'directoryUnavailable', message: expect.stringMatching(/50 ms/u), retryable: true },
    });
  });

  test('and was accepted when the reader hangs is no guess', async () => {
    await house.configure({
      connection: { timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 0.05 } },
    });
    const open = withAnswers(() => ({ findDn: () => new Promise<never>(() => {}) }));
    expect(await verify('right', { open })).toMatchObject({ kind: 'unknown', sent: 'accepted' });
  });

  test.each<[when: string, slow: 'refresh' | 'seek']>([
    ['the settings are read again', 'refresh'],
    ['the entry is sought', 'seek'],
  ])('goes nowhere any more once the time is over while %s', async (_when, slow) => {
    await house.configure({
      connection: { timeouts: { connectSeconds: 5, operationSeconds: 10, loginSeconds: 0.05 } },
    });
    const directory = keepDirectory(house.ports.settings, house.directory.open, house.ports.clock);
    const current = (await directory.get())!;
    const { promise: slowly, resolve } = Promise.withResolvers<void>();
    const slowlyRefreshing = { ...directory, refresh: async () => (await slowly, true) };
    const seek = async () => {
      if (slow === 'seek') await slowly;
      return SOUGHT;
    };
    if (slow === 'refresh') house.directory.fault = unreachable();

    const result = await verifyInDirectory(slowlyRefreshing, current, seek, 'wrong');
    // The attempt has been given back, so that a bind from now on would be one more than the budget has.
    expect(result).toMatchObject({ kind: 'unknown', sent: 'nowhere' });
    house.directory.fault = null;
    resolve();
    for (let turns = 0; turns < 5; turns += 1) await turn();

    expect(house.directory.calls.binds).toEqual([]);
  });

  test('was sent nowhere if no server could be reached', async () => {
    house.directory.fault = unreachable();
    expect(await verify('right')).toMatchObject({ kind: 'unknown', fault: unreachable(), sent: 'nowhere' });
    expect(house.directory.calls.binds).toEqual([]);
  });
});

describe('settings that were corrected meanwhile', () => {
  /** Verifies with the settings of before, after new ones were saved that mend what `mend` says. */
  async function verifyCorrected(password: string, mend: () => void): Promise<Verification> {
    const open: OpenDirectory = (settings: Settings) => {
      if (settings.scope.baseDn === 'dc=new') mend();
      return house.directory.open(settings);
    };
    const directory = keepDirectory(house.ports.settings, open, house.ports.clock);
    const current = (await directory.get())!;
    await house.configure({ scope: { baseDn: 'dc=new' } });
    house.passSeconds(6);
    return verifyInDirectory(directory, current, async () => SOUGHT, password);
  }

  test('are used at once, where no server had taken the password', async () => {
    house.directory.fault = unreachable();
    const mend = () => (house.directory.fault = null);
    expect(await verifyCorrected('right', mend)).toEqual(ACCEPTED);
  });

  test('tell where a rejected person is, without the same bind again', async () => {
    house.directory.people = [aPerson('1', NEW, 'right')];
    house.directory.findDnFault = blind;
    const mend = () => (house.directory.findDnFault = null);
    expect(await verifyCorrected('right', mend)).toMatchObject({ kind: 'accepted', sought: { dn: NEW } });
    expect(house.directory.calls.binds).toEqual([OLD, NEW]);
  });

  test('let the first rejection stand where the person has not moved', async () => {
    house.directory.findDnFault = blind;
    const mend = () => (house.directory.findDnFault = null);
    expect(await verifyCorrected('wrong', mend)).toEqual(INVALID);
    expect(house.directory.calls.binds).toEqual([OLD]);
  });

  test('and lead to another entry let no rejection of the former one stand', async () => {
    const [former, next] = [aPerson('1', OLD, 'other'), aPerson('2', NEW, 'right')];
    house.directory.people = [former, next];
    house.directory.findDnFault = blind;
    const directory = keepDirectory(house.ports.settings, house.directory.open, house.ports.clock);
    const current = (await directory.get())!;
    await house.configure({ scope: { baseDn: 'dc=new' } });
    house.passSeconds(6);
    const sought: SoughtEntry = { id: '2', idAttribute: 'entryuuid', dn: NEW };
    const seek = async ({ stored }: typeof current) => {
      if (stored === current.stored) return SOUGHT;
      house.directory.findDnFault = null;
      return sought;
    };
    expect(await verifyInDirectory(directory, current, seek, 'right')).toEqual({ ...ACCEPTED, sought });
    expect(house.directory.calls.binds).toEqual([OLD, NEW]);
  });

  test('and show where an entry is now let no rejection under its former DN stand', async () => {
    house.directory.people = [aPerson('1', NEW, 'right')];
    house.directory.findDnFault = blind;
    const directory = keepDirectory(house.ports.settings, house.directory.open, house.ports.clock);
    const current = (await directory.get())!;
    await house.configure({ scope: { baseDn: 'dc=new' } });
    house.passSeconds(6);
    const seek = async ({ stored }: typeof current) => {
      if (stored === current.stored) return SOUGHT;
      house.directory.findDnFault = null;
      return { ...SOUGHT, dn: NEW };
    };
    expect(await verifyInDirectory(directory, current, seek, 'right')).toMatchObject({ kind: 'accepted' });
    expect(house.directory.calls.binds).toEqual([OLD, NEW]);
  });

  test('and name other servers let no rejection of the former ones stand', async () => {
    // A copy that was taken out of service, with a password of long ago.
    house.directory.people = [aPerson('1', OLD, 'of long ago')];
    house.directory.findDnFault = blind;
    const successor = house.directory.addServer('ldap2.example.com');
    successor.people = [aPerson('1', OLD, 'right')];
    const directory = keepDirectory(house.ports.settings, house.directory.open, house.ports.clock);
    const current = (await directory.get())!;
    await house.configure({ connection: { servers: ['ldap2.example.com'] } });
    house.passSeconds(6);

    const result = await verifyInDirectory(directory, current, async () => SOUGHT, 'right');
    // The password has gone out once. A server that did not see it has not refused it.
    expect(result).toMatchObject({ kind: 'unknown', sent: 'rejected' });
    expect(house.directory.calls.binds).toEqual([OLD]);
  });

  test('that can’t be read change nothing', async () => {
    house.directory.findDnFault = blind;
    const away = new ServiceError('storeUnavailable', 'no answer');
    const directory = keepDirectory(house.ports.settings, house.directory.open, house.ports.clock);
    const current = (await directory.get())!;
    const failing = { ...directory, refresh: async () => Promise.reject(away) };
    expect(await verifyInDirectory(failing, current, async () => SOUGHT, 'wrong')).toEqual({
      kind: 'unknown',
      fault: blind,
      sent: 'rejected',
    });
  });
});

describe('what is no fault of a directory', () => {
  test.each(['verifyPassword', 'findDn', 'searchByName'] as const)('comes through: %s', async (method) => {
    const mistake = new TypeError('a mistake in the code');
    const open = withAnswers(() => ({ [method]: async () => Promise.reject(mistake) }));
    const directory = keepDirectory(house.ports.settings, open, house.ports.clock);
    const seek = async () => {
      if (method === 'searchByName') await (await directory.get())!.directory.searchByName('anna');
      return SOUGHT;
    };
    await expect(verifyInDirectory(directory, (await directory.get())!, seek, 'right')).rejects.toBe(mistake);
  });
});
