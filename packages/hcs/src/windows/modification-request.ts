import type { ModifySettingRequest } from '@hcsshim/schema';
import { checkDocument } from '@hcsshim/schema/hcs';
import {
  checkDocument as checkV1Document,
  type ResourceModificationRequestResponse,
} from '@hcsshim/schema/hcs-v1';

/** A request for a change as the service takes it. Throws HCS_E_INVALID_JSON for one with a mistake. */
export function modificationText(
  request: ModifySettingRequest | ResourceModificationRequestResponse,
): string {
  const isV1 = 'ResourceType' in request && !('ResourcePath' in request);
  return JSON.stringify(
    isV1
      ? checkV1Document('ResourceModificationRequestResponse', request)
      : // Which resources exist is for the service to say: a newer Windows has more.
        checkDocument('ModifySettingRequest', request, { allowUnknownResources: true }),
  );
}
