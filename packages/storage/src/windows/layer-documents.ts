import {
  checkDocument,
  type ExportLayerOptions,
  type LayerData,
  type OsLayerOptions,
} from '@hcsshim/schema/hcs';
import { windowsBuild } from '@hcsshim/windows';

export type { ExportLayerOptions, LayerData, OsLayerOptions };

/** Schema 2.1, the first of containers, which every build takes. */
const schemaVersion = { Major: 2, Minor: 1 };

/** The text of a document about layers. Throws HCS_E_INVALID_JSON for a field that does not fit. */
export function layerDataText(layerData: LayerData): string {
  return documentText('LayerData', { SchemaVersion: schemaVersion, ...layerData });
}

export function documentText(
  type: 'LayerData' | 'ExportLayerOptions' | 'OsLayerOptions',
  document: LayerData | ExportLayerOptions | OsLayerOptions,
): string {
  const build = windowsBuild();
  return JSON.stringify(checkDocument(type, document, build === undefined ? {} : { build }));
}
