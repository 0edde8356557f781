/** The policies of the stack as deployed without any context. */
import { readPolicies, type StackPolicies } from '../../../local/policy-template.ts';
import { resolveResources } from '../../../local/template.ts';
import { synthesize } from '../templates/check.ts';

export function synthesizePolicies(): StackPolicies {
  return readPolicies(resolveResources(synthesize({}).template.Resources));
}
