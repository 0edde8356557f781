/** Checks the CloudFormation template of the examples against what the CDK knows about each resource type. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { App, CfnResource, Stack, Validations } from 'aws-cdk-lib';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';
import { expect, onTestFinished, test } from 'vitest';

const FILE = path.join(import.meta.dirname, '../../examples/pipeline/codebuild.yaml');

test('the pipeline example has the properties that its resources know, each of the right type', () => {
  const outdir = mkdtempSync(path.join(tmpdir(), 'rollcall-pipeline-'));
  onTestFinished(() => rmSync(outdir, { recursive: true }));
  const app = new App({ outdir, context: { '@aws-cdk/core:validateAgainstDefaultRules': true } });
  const stack = new Stack(app, 'Pipeline');
  void new CfnInclude(stack, 'Template', { templateFile: FILE });
  Validations.of(stack).acknowledge({
    id: 'CloudFormation-Validate::W2509',
    reason: 'These parameters are names of secrets.',
  });
  const resources = stack.node.findAll().filter((construct) => CfnResource.isCfnResource(construct));
  const types = resources.map((resource) => resource.cfnResourceType);
  // The CDK keeps a property that a type does not know as an override.
  const unknown = resources.map((resource) => Reflect.get(resource, 'rawOverrides') as unknown);

  expect(types.sort()).toEqual(['AWS::CodeBuild::Project', 'AWS::IAM::Role', 'AWS::Logs::LogGroup']);
  expect(unknown).toEqual(types.map(() => ({})));
  expect(() => app.synth()).not.toThrow();
});
