/* Shows the description of the API that this deployment serves. To be read: nothing can be sent from here. */

const dark = matchMedia('(prefers-color-scheme: dark)');
const followSystem = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', followSystem);
followSystem();

const readOnly = {
  wrapComponents: {
    // A page that is open to everybody asks nobody for a token. Instead of the lock that would: who may call.
    authorizeBtn: () => () => null,
    authorizeOperationBtn:
      (_button, { React }) =>
      ({ isAuthorized: needsNoToken }) =>
        needsNoToken ? null : React.createElement('span', { className: 'caller' }, 'administrators'),
  },
};

SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#description',
  deepLinking: true,
  showCommonExtensions: true,
  supportedSubmitMethods: [],
  plugins: [readOnly],
  // Where one is set, the address of the description goes there.
  validatorUrl: null,
});
