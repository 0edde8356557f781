/** Translates what servers of different vendors return into the vocabulary of Rollcall. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { disablingRule } from '../../lib/ldap/account-status.ts';
import { readBindResult } from '../../lib/ldap/bind-result.ts';
import { isServerFault } from '../../lib/ldap/fault.ts';
import { chooseBase, chooseContext, leadsToNobody, type RootDse } from '../../lib/ldap/root-dse.ts';
import { serverAddress } from '../../lib/ldap/server-ranking.ts';
import { readUniqueId, uniqueIdValues } from '../../lib/ldap/unique-id.ts';
import { detectVendor, VENDOR_FACTS, vendorIdAttribute } from '../../lib/ldap/vendor.ts';
import { parseFilter } from '../../lib/settings/filter.ts';
import { VENDORS, withPresets } from '../../lib/settings/settings.ts';
import { aSettings } from '../support/people.ts';

const NOW = new Date('2026-05-04T10:00:00Z');

function aRootDse(over: Partial<RootDse> = {}): RootDse {
  return {
    vendor: 'unknown',
    detectedVendor: 'unknown',
    product: 'x',
    idAttribute: null,
    certainStatus: null,
    subschema: null,
    paging: true,
    startTls: true,
    passwordPolicy: false,
    namingContexts: [],
    defaultNamingContext: null,
    ownName: null,
    ...over,
  };
}

/** The message that Active Directory and Samba send, with the NUL at its end. */
function activeDirectory(subCode: string): string {
  return `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${subCode}, v1db1\0`;
}

/** What a bind with this result throws. */
function faultOf(status: number, diagnostic: string): unknown {
  try {
    return readBindResult(status, diagnostic, undefined, 'server');
  } catch (error) {
    return error;
  }
}

describe('the result of a bind', () => {
  test.each([
    [49, '', undefined, 'invalidCredentials'],
    [49, activeDirectory('52e'), undefined, 'invalidCredentials'],
    [49, activeDirectory('525'), undefined, 'invalidCredentials'],
    [49, activeDirectory('530'), undefined, 'notPermitted'],
    [49, activeDirectory('531'), undefined, 'notPermitted'],
    [49, activeDirectory('532'), undefined, 'passwordExpired'],
    [49, activeDirectory('533'), undefined, 'accountDisabled'],
    [49, activeDirectory('701'), undefined, 'accountExpired'],
    [49, activeDirectory('773'), undefined, 'passwordMustChange'],
    [49, activeDirectory('775'), undefined, 'accountLocked'],
    [49, activeDirectory('534'), undefined, 'notPermitted'],
    [49, 'password expired!', undefined, 'passwordExpired'],
    [49, 'Bind failed: account was permanently locked', { error: 1 }, 'accountLocked'],
    [49, 'Bind failed: ERR_229 Cannot authenticate user cn=disabled,ou=x', undefined, 'invalidCredentials'],
    [49, '', { error: 0 }, 'passwordExpired'],
    [49, '', { error: 1 }, 'accountLocked'],
    [0, '', { error: 2 }, 'passwordMustChange'],
    [53, 'Account inactivated. Contact system administrator.', undefined, 'accountDisabled'],
    [53, 'Account inactivated. Contact system administrator.', { error: 1 }, 'accountDisabled'],
    [53, 'NDS error: log account expired (-220)', undefined, 'accountDisabled'],
    [49, 'NDS error: failed authentication (-669)', undefined, 'invalidCredentials'],
    [49, 'NDS error: bad password (-222)', undefined, 'passwordExpired'],
    [19, 'Exceed password retry limit. Please try later.', undefined, 'accountLocked'],
    [50, '', undefined, 'notPermitted'],
    [32, '', undefined, 'invalidCredentials'],
    [34, 'invalid DN', undefined, 'invalidCredentials'],
    [48, '', undefined, 'invalidCredentials'],
  ])('%i %j with policy %j is a rejection: %s', (status, diagnostic, policy, reason) => {
    expect(readBindResult(status, diagnostic, policy, 'server')).toEqual({ kind: 'rejected', reason });
  });

  test.each([
    [undefined, {}],
    [{ timeBeforeExpiration: 60 }, { passwordExpiresInSeconds: 60 }],
    [{ timeBeforeExpiration: 0 }, { passwordExpiresInSeconds: 0 }],
    [{ graceAuthNsRemaining: 2 }, { graceLoginsLeft: 2 }],
    [{ graceAuthNsRemaining: 0, error: 0 }, { graceLoginsLeft: 0 }],
  ])('0 with policy %j lets in and tells %j', (policy, state) => {
    expect(readBindResult(0, '', policy, 'server')).toEqual({ kind: 'accepted', ...state });
  });

  // Each of them was taken for a wrong password once.
  test.each([
    ...['51f', '6ba', '6bb', '80090304', '80090311'].map(activeDirectory),
    'NDS error: transport failure (-625)',
    'NDS error: all referrals failed (-626)',
    'NDS error: ds locked (-663)',
  ])(
    '49 with the sub-code of %j, an outage behind the server, is a fault that another server may not have',
    (diagnostic) => {
      const fault = faultOf(49, diagnostic);
      expect(fault).toMatchObject({ code: 'directoryError', retryable: true });
      expect(isServerFault(fault)).toBe(true);
    },
  );

  test('49 that begins with the code of a security package which failed is an outage too', () => {
    const diagnostic = activeDirectory('52e').replace('80090308', '80090311');
    expect(isServerFault(faultOf(49, diagnostic))).toBe(true);
  });

  test.each([
    ...['51e', '52f', '568', '569', '57', '0', '6f7', 'c000006d'].map(activeDirectory),
    'NDS error: unknown (-6099)',
  ])('49 with the unknown sub-code of %j is a fault, and no other server gets the password', (diagnostic) => {
    const fault = faultOf(49, diagnostic);
    expect(fault).toMatchObject({ code: 'directoryError' });
    expect(isServerFault(fault)).toBe(false);
  });

  test.each([
    [1, true],
    [2, true],
    [3, true],
    [11, true],
    [12, true],
    [51, true],
    [52, true],
    [54, true],
    [80, true],
    // These may have judged the password, or fail everywhere.
    [8, false],
    [10, false],
    [13, false],
    [19, false],
    [53, false],
  ])('%i is worth trying another server: %j', (status, moves) => {
    expect(isServerFault(faultOf(status, ''))).toBe(moves);
  });

  test.each([
    [1, 'directoryError', false],
    [8, 'encryptionRequired', false],
    [10, 'directoryError', false],
    [13, 'encryptionRequired', false],
    [19, 'directoryError', false],
    [51, 'directoryError', true],
    [52, 'directoryError', true],
    [53, 'directoryError', false],
    [80, 'directoryError', false],
  ])('%i without a word about the person is a fault: %s', (status, code, retryable) => {
    expect(() => readBindResult(status, '', undefined, 'server')).toThrow(
      expect.objectContaining({ code, retryable }) as Error,
    );
  });
});

describe('a unique id', () => {
  const bytes = Buffer.from('00112233445566778899aabbccddeeff', 'hex');

  test.each([
    ['objectGUID', bytes, '33221100-5544-7766-8899-aabbccddeeff'],
    ['GUID', bytes, '00112233-4455-6677-8899-aabbccddeeff'],
    ['entryUUID', Buffer.from('ABCDEF00-0000-0000-0000-000000000001'), 'abcdef00-0000-0000-0000-000000000001'],
    ['nsUniqueId', Buffer.from('EC352085-e6e511f1-b6179f25-0df8ffe4'), 'ec352085-e6e511f1-b6179f25-0df8ffe4'],
    ['employeeNumber', Buffer.from(' E-17 '), 'E-17'],
    ['employeeNumber', Buffer.from('Ü1'), 'Ü1'],
    ['mS-DS-ConsistencyGuid', bytes, '00112233445566778899aabbccddeeff'],
    ['employeeNumber', Buffer.from(' '), null],
    ['employeeNumber', Buffer.alloc(0), null],
  ])('of %s %o is %s', (attribute, value, id) => {
    expect(readUniqueId(attribute, [value])).toBe(id);
  });

  test('is none where there are several values, or no value', () => {
    expect(readUniqueId('entryUUID', [])).toBeNull();
    expect(readUniqueId('uid', [Buffer.from('a'), Buffer.from('b')])).toBeNull();
  });

  test('is searched for by the very bytes it was read from', () => {
    const names = fc.constantFrom('objectGUID', 'GUID', 'mS-DS-ConsistencyGuid', 'employeeNumber');
    const values = fc.oneof(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.stringMatching(/^[a-z0-9]{16}$/).map((text) => new TextEncoder().encode(text)),
    );
    fc.assert(
      fc.property(names, values, (name, value) => {
        fc.pre(Buffer.from(value).toString().trim() === Buffer.from(value).toString());
        const id = readUniqueId(name, [value])!;
        expect(uniqueIdValues(name, id).map((one) => Buffer.from(one).toString('hex'))).toContain(
          Buffer.from(value).toString('hex'),
        );
      }),
    );
  });

  test('that an attribute can not hold is searched for by nothing', () => {
    expect(uniqueIdValues('objectGUID', 'E-17')).toEqual([]);
  });
});

describe('an account is marked disabled', () => {
  test.each([
    ['useraccountcontrol', '514', true],
    ['useraccountcontrol', '512', false],
    ['useraccountcontrol', '66050', true],
    ['accountexpires', '0', false],
    ['accountexpires', '9223372036854775807', false],
    ['accountexpires', '133000000000000000', true], // 2022
    ['accountexpires', '150000000000000000', false], // 2076
    ['nsaccountlock', 'TRUE', true],
    ['nsaccountlock', 'true', true],
    ['nsaccountlock', 'FALSE', false],
    ['pwdaccountlockedtime', '000001010000Z', true],
    ['pwdaccountlockedtime', '20260504095900Z', false],
    ['logindisabled', 'TRUE', true],
    ['loginexpirationtime', '20260504095959Z', true],
    ['loginexpirationtime', '20260504120000+0200', true],
    ['loginexpirationtime', '20260504100001Z', false],
    ['loginexpirationtime', 'nonsense', false],
    ['shadowexpire', '-1', false],
    ['shadowexpire', '0', false],
    ['shadowexpire', '20577', true], // 2026-05-04
    ['shadowexpire', '20578', false],
    ['shadowexpire', '', false],
    ['msds-useraccountdisabled', 'TRUE', true],
    ['msds-useraccountdisabled', 'FALSE', false],
    ['inetuserstatus', 'Active', false],
    ['inetuserstatus', 'inactive', true],
    ['inetuserstatus', 'deleted', true],
    ['inetuserstatus', 'anything else', true],
    ['inetuserstatus', ' ', false],
    ['accountstatus', 'active', false],
    ['accountstatus', 'NoAccess', true],
    ['accountstatus', 'disabled', true],
    ['accountstatus', 'deleted', true],
    ['accountstatus', 'gold', false],
    ['sambaacctflags', '[U          ]', false],
    ['sambaacctflags', '[UD         ]', true],
    ['sambaacctflags', '[DU]', true],
    ['sambaacctflags', '[UXL]', false],
    ['sambaacctflags', 'D', false],
    ['orclisenabled', 'ENABLED', false],
    ['orclisenabled', 'disabled', true],
    ['orclactiveenddate', '20260504095959Z', true],
    ['orclactiveenddate', '20270504095959Z', false],
    ['ds-pwp-account-disabled', 'true', true],
    ['ds-pwp-account-disabled', 'false', false],
    ['ds-pwp-account-expiration-time', '20260504095959.000Z', true],
    ['ds-pwp-account-expiration-time', '20270504095959.000Z', false],
    ['ibm-pwdaccountlocked', 'true', true],
    ['ibm-pwdaccountlocked', 'false', false],
  ])('by %s %j: %s', (attribute, value, disabled) => {
    expect(disablingRule(attribute)!(value, NOW)).toBe(disabled);
  });
});

describe('the root DSE', () => {
  test('names the base where the settings do not', () => {
    expect(chooseBase('o=mine', aRootDse({ defaultNamingContext: 'dc=x' }), 's')).toBe('o=mine');
    expect(chooseBase('', aRootDse({ namingContexts: ['dc=a', 'dc=x'], defaultNamingContext: 'dc=x' }), 's')).toBe(
      'dc=x',
    );
    expect(chooseBase('', aRootDse({ namingContexts: ['dc=only'] }), 's')).toBe('dc=only');
    expect(() => chooseBase('', aRootDse({ namingContexts: ['o=a', 'o=b'] }), 's')).toThrow(
      expect.objectContaining({
        code: 'baseUnknown',
        advice: expect.stringContaining('o=a and o=b') as string,
      }) as Error,
    );
  });

  test.each([
    ['ou=x, DC=Example,dc=com', ['dc=example,dc=com', 'o=other'], 'dc=example,dc=com'],
    ['ou=x,ou=y,dc=com', ['dc=com', 'ou=y,dc=com'], 'ou=y,dc=com'],
    ['ou=x\\,dc=com', ['dc=com'], 'ou=x\\,dc=com'],
    ['ou=x,o=a', [''], ''],
    ['ou=x,o=a', [], 'ou=x,o=a'],
  ])('tells where those of %s can have moved', (baseDn, namingContexts, context) => {
    expect(chooseContext(baseDn, aRootDse({ namingContexts }))).toBe(context);
  });
});

describe('a reference in a search result', () => {
  test.each([
    ['ldap://example.com/CN=Configuration,DC=example,DC=com', true],
    ['ldap://example.com/CN=Schema,CN=Configuration,DC=example,DC=com', true],
    ['ldaps://DomainDnsZones.example.com/DC=DomainDnsZones,DC=example,DC=com??sub', true],
    ['ldap://ForestDnsZones.example.com/DC=ForestDnsZones,DC=example,DC=com', true],
    ['ldap://example.com/CN%3DConfiguration,DC=example,DC=com', true],
    ['ldap://example.com/CN=Configuration,OU=Sales,DC=example,DC=com', false],
    ['ldap://child.example.com/DC=child,DC=example,DC=com', false],
    ['ldap://example.com/OU=CN\\3DConfiguration,DC=example,DC=com', false],
    ['ldap://example.com/OU=100%,DC=example,DC=com', false],
    ['ldap://example.com/', false],
    ['nonsense', false],
  ])('of Active Directory, %s, leads to nobody: %s', (reference, nobody) => {
    expect(leadsToNobody(reference, 'sub', 'activeDirectory')).toBe(nobody);
    expect(leadsToNobody(reference, 'sub', 'openLdap')).toBe(false);
  });

  test.each([
    ['ldap://other.example.com/ou=branch,dc=example,dc=com??base', true],
    ['ldap://child.example.com/DC=child,DC=example,DC=com??base', true],
    ['ldap://other.example.com/uid=anna,dc=example,dc=com??base', false],
    ['ldap://other.example.com/cn=anna,dc=example,dc=com??base', false],
    ['ldap://other.example.com/', false],
    ['ldap://other/cn=Anna+l=Berlin,dc=example,dc=com', false],
    ['ldap://other/l=Berlin+cn=Anna,dc=example,dc=com', false],
    ['ldap://other/ou=a+l=Berlin,dc=example,dc=com', true],
  ])('of one level, %s, leads to nobody: %s', (reference, nobody) => {
    expect(leadsToNobody(reference, 'one', 'openLdap')).toBe(nobody);
    expect(leadsToNobody(reference, 'sub', 'openLdap')).toBe(false);
  });
});

describe('the vendor', () => {
  test.each([
    ['openLdap', { objectClass: ['top', 'OpenLDAProotDSE'] }],
    ['ds389', { vendorName: ['389 Project'], vendorVersion: ['389-Directory/2.3.1 B2025.016.1616'] }],
    ['activeDirectory', { supportedCapabilities: ['1.2.840.113556.1.4.800', '1.2.840.113556.1.4.1670'] }],
    ['activeDirectory', { vendorName: ['Samba Team (https://www.samba.org)'] }],
    ['eDirectory', { vendorName: ['NetIQ Corporation'], vendorVersion: ['LDAP Agent for NetIQ eDirectory 9.2.4'] }],
    ['eDirectory', { vendorName: ['Novell, Inc.'], vendorVersion: ['LDAP Agent for Novell eDirectory 8.8 SP8'] }],
    ['apacheDs', { vendorName: ['Apache Software Foundation'], vendorVersion: ['2.0.0.AM26'] }],
    ['unknown', { vendorName: ['International Business Machines (IBM)'] }],
    ['unknown', {}],
  ] as const)('%s is told by %j', (vendor, traits) => {
    expect(
      detectVendor({ vendorName: [], vendorVersion: [], objectClass: [], supportedCapabilities: [], ...traits }),
    ).toBe(vendor);
  });

  test('tells the attribute with the unique id, of others too where their name is known', () => {
    expect(VENDORS.map((vendor) => vendorIdAttribute(vendor, ''))).toEqual([
      'entryUUID',
      'nsUniqueId',
      'objectGUID',
      'GUID',
      'entryUUID',
      null,
    ]);
    expect(vendorIdAttribute('unknown', 'International Business Machines (IBM) 6.4')).toBe('ibm-entryUuid');
    expect(vendorIdAttribute('unknown', 'ForgeRock AS OpenDJ')).toBe('entryUUID');
  });

  test.each(VENDORS)('%s has a filter that can be read, a mapping and rules for its status attributes', (vendor) => {
    const { presets, statusAttributes } = VENDOR_FACTS[vendor];

    expect(parseFilter(presets.scope.filter)).toMatchObject({ kind: 'filter' });
    expect(Object.values(presets.mapping).every((attribute) => attribute !== '')).toBe(true);
    expect(statusAttributes.every((name) => disablingRule(name.toLowerCase()) !== null)).toBe(true);
  });

  test('has presets that fill what is empty while no user name is mapped, and change nothing afterwards', () => {
    const { presets } = VENDOR_FACTS.activeDirectory;
    const unmapped = aSettings({
      scope: { filter: '' },
      mapping: { userName: '', fullName: '', emailAddresses: 'mail' },
    });

    expect(withPresets(unmapped, presets)).toMatchObject({
      scope: presets.scope,
      mapping: { userName: 'sAMAccountName', fullName: 'displayName', emailAddresses: 'mail' },
    });
    expect(withPresets(aSettings(), presets)).toEqual(aSettings());
  });
});

describe('a server address', () => {
  test.each([
    ['ldap.example.com', 'none', 'ldap.example.com', 389],
    ['ldap.example.com', 'tls', 'ldap.example.com', 389],
    ['ldap.example.com', 'ssl', 'ldap.example.com', 636],
    ['10.0.0.1:3890', 'ssl', '10.0.0.1', 3890],
    ['[2001:db8::1]', 'none', '2001:db8::1', 389],
    ['[2001:db8::1]:3890', 'none', '2001:db8::1', 3890],
    ['[2001:db8::1]', 'ssl', '2001:db8::1', 636],
  ] as const)('%s with %s is %s port %i', (name, encryption, host, port) => {
    expect(serverAddress(name, encryption)).toEqual({ name, host, port });
  });

  test.each(['', ':389', 'host:', 'host:port', '[]:1', '2001:db8::1'])('%j is none', (name) => {
    expect(() => serverAddress(name, 'none')).toThrow(expect.objectContaining({ code: 'hostNotFound' }) as Error);
  });
});
