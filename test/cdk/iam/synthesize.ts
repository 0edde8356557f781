/** The policies of the stack as deployed without any context. Skips bundling, which policies do not depend on. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { RollcallStack } from '../../../cdk/stack.ts';
import { readPolicies, type StackPolicies } from '../../../local/policy-template.ts';
import { type Resource, resolveResources } from '../../../local/template.ts';

export function synthesizePolicies(): StackPolicies {
  const outdir = mkdtempSync(path.join(tmpdir(), 'rollcall-iam-'));
  try {
    const app = new App({ outdir, context: { 'aws:cdk:bundling-stacks': [] } });
    const { templateFile } = new RollcallStack(app, 'Rollcall');
    app.synth();
    const template = JSON.parse(readFileSync(path.join(outdir, templateFile), 'utf8')) as {
      readonly Resources: Readonly<Record<string, Resource>>;
    };
    return readPolicies(resolveResources(template.Resources));
  } finally {
    rmSync(outdir, { recursive: true });
  }
}
