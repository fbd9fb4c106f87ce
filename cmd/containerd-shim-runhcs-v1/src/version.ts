import manifest from '../package.json' with { type: 'json' };

/** Version of the OCI runtime specification that `config.json` is read by. */
const specVersion = '1.0.2';

export function versionText(): string {
  return `containerd-shim-runhcs-v1\nversion: ${manifest.version}\nspec: ${specVersion}\n`;
}
