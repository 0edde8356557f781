/** Names of attributes: which text is one (RFC 4512 section 2.5), how names are compared, and lists of them. */
import { expect, test } from 'vitest';
import {
  attributeKey,
  attributeList,
  descriptionKey,
  hasOptions,
  isAttributeName,
} from '../../lib/settings/attribute-name.ts';

test.each([
  'uid',
  'sAMAccountName',
  'a',
  'x-500-name',
  'a1-',
  'cn;lang-de',
  'userCertificate;binary',
  'cn;lang-de;x-own',
  'cn;1',
  '2.5.4.3',
  '0.9.2342.19200300.100.1.1',
  '1.0',
  '2.5.4.3;lang-de',
])('%s is an attribute name', (text) => {
  expect(isAttributeName(text)).toBe(true);
});

test.each([
  '',
  ' cn',
  'cn ',
  'cn\n',
  'cn\nuid',
  'cn,uid',
  'given name',
  'snake_case',
  '1cn',
  '-cn',
  'größe',
  'cn;',
  ';lang-de',
  'cn;;lang-de',
  'cn;lang_de',
  '2',
  '2.',
  '.5',
  '2..5',
  '2.05.4',
  '02.5',
  '2.5.4.cn',
  'cn.2',
  '(cn=*)',
  '*',
])('%j is no attribute name', (text) => {
  expect(isAttributeName(text)).toBe(false);
});

test.each([
  ['uid', 'uid'],
  ['sAMAccountName', 'samaccountname'],
  ['CN;lang-DE', 'cn'],
  ['userCertificate;binary;x-own', 'usercertificate'],
  ['2.5.4.3', '2.5.4.3'],
  ['', ''],
])('%j is compared as %j', (attribute, key) => {
  expect(attributeKey(attribute)).toBe(key);
});

test.each([
  ['sAMAccountName', 'samaccountname'],
  ['CN;lang-DE', 'cn;lang-de'],
  ['userCertificate;x-own;Binary;x-own', 'usercertificate;binary;x-own'],
])('%j with its options is compared as %j', (attribute, key) => {
  expect(descriptionKey(attribute)).toBe(key);
});

test.each([
  ['cn', [], true],
  ['cn;lang-de', [], true],
  ['cn;x-own;lang-DE', ['lang-de'], true],
  ['cn;lang-de', ['lang-de', 'x-own'], false],
  ['cn;lang-de-at', ['lang-de'], false],
  ['cn;lang-de-at', ['lang-de-'], true],
  ['cn;lang-de', ['lang-de-'], true],
  ['cn;lang-del', ['lang-de-'], false],
  ['cn', ['lang-de'], false],
])('%j has the options %j: %s', (attribute, wanted, has) => {
  expect(hasOptions(attribute, wanted)).toBe(has);
});

test.each([
  ['mail', ['mail']],
  ['mail,proxyAddresses', ['mail', 'proxyAddresses']],
  [' mail ,\tmail;lang-de\n', ['mail', 'mail;lang-de']],
  [',mail,,uid,', ['mail', 'uid']],
  ['mail,mail', ['mail', 'mail']],
  ['', []],
  [' , ', []],
])('%j lists %j', (setting, names) => {
  expect(attributeList(setting)).toEqual(names);
});
