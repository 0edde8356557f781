/** IP addresses in one spelling, and the networks of subscribers. */
import { expect, test } from 'vitest';
import { canonicalAddress, subscriberNetwork } from '../../lib/ip-address.ts';

test.each([
  ['192.0.2.7', '192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2.7'],
  ['::FFFF:c000:207', '192.0.2.7', '192.0.2.7'],
  ['0:0:0:0:0:ffff:0.0.0.1', '0.0.0.1', '0.0.0.1'],
  ['::1', '::1', '::/64'],
  ['::', '::', '::/64'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1', '2001:db8::/64'],
  ['2001:0db8:0001:0002:0003:0004:0005:0006', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
  ['2001:db8::2:3:4:5:6', '2001:db8:0:2:3:4:5:6', '2001:db8:0:2::/64'],
  ['64:ff9b::192.0.2.7', '64:ff9b::c000:207', '64:ff9b::/64'],
  ['::192.0.2.7', '::c000:207', '::/64'],
  ['fe80::1%eth0', 'fe80::1%eth0', 'fe80::/64'],
])('%s is %s, of the network %s', (text, address, network) => {
  expect(canonicalAddress(text)).toBe(address);
  expect(subscriberNetwork(text)).toBe(network);
});

test.each([
  '',
  ' ',
  'ldap.example.com',
  '192.0.2',
  '192.0.2.256',
  '010.0.0.1',
  '192.0.2.7:80',
  '[::1]',
  ':::',
  '2001:db8',
])('%j is no IP address', (text) => {
  expect(canonicalAddress(text)).toBeNull();
  expect(subscriberNetwork(text)).toBeNull();
});

test('two hosts of neighbouring networks are two sources, two addresses of one network are one', () => {
  expect(subscriberNetwork('2001:db8:1:2::1')).not.toBe(subscriberNetwork('2001:db8:1:3::1'));
  expect(subscriberNetwork('2001:db8:1:2::1')).toBe(subscriberNetwork('2001:db8:1:2:8000::1'));
});
