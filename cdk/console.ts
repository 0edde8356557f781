/**
 * The web pages: the function that serves them, their files and their routes. The function may only write its log, and
 * is in no VPC, because it reaches nothing else.
 */
import { Validations } from 'aws-cdk-lib';
import { HttpMethod, PayloadFormatVersion } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Construct } from 'constructs';
import type { Api } from './api.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';

/** The parts of the stack that the pages work with; their routes are added to the API. */
export interface ConsoleProps {
  readonly defaults: FunctionDefaults;
  readonly api: Api;
}

// Swagger UI loads nothing from elsewhere and works under the strictest content security policy. Redoc 3 reports its
// use and loads its logo from a CDN; Redoc 2 loads the logo too, and brings more than a hundred packages along.
const RENDERER = 'node_modules/swagger-ui-dist';

/** The function that serves the web pages, and its routes. */
export class Console extends Construct {
  readonly handler: ProductFunction;

  constructor(scope: Construct, id: string, { defaults, api }: ConsoleProps) {
    super(scope, id);
    this.handler = new ProductFunction(this, 'Function', {
      defaults: { ...defaults, network: undefined },
      entry: 'console.ts',
      description: 'Rollcall: serves the web pages.',
      environment: {},
      assets: {
        'docs/index.html': 'console/docs/index.html',
        'docs/page.css': 'console/docs/page.css',
        'docs/page.js': 'console/docs/page.js',
        'docs/swagger-ui.css': `${RENDERER}/swagger-ui.css`,
        'docs/swagger-ui-bundle.js': `${RENDERER}/swagger-ui-bundle.js`,
        // The script refers to this file for the licenses of its parts.
        'docs/swagger-ui-bundle.js.LICENSE.txt': `${RENDERER}/swagger-ui-bundle.js.LICENSE.txt`,
      },
    });

    const integration = new HttpLambdaIntegration('Integration', this.handler, {
      payloadFormatVersion: PayloadFormatVersion.VERSION_2_0,
    });
    const routes = ['/api/docs', '/api/docs/{file}'].flatMap((path) =>
      api.httpApi.addRoutes({ path, methods: [HttpMethod.ANY], integration }),
    );
    for (const route of routes) {
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'The pages are public: they hold no data of the deployment, and the API checks every call they make.',
      });
    }
  }
}
