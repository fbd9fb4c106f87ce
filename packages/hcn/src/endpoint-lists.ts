import type { CallOptions, NetworkObjects, Stored } from './network-service.ts';

/** What names endpoints and, in most versions, can only be deleted and created again. */
interface NamesEndpoints {
  HostComputeEndpoints?: string[];
}

/** The objects, and the fields of their documents that make one like another; the service fills in more. */
export interface EndpointLists<Document> {
  objects: NetworkObjects<Document>;
  fields: readonly (keyof Document & string)[];
}

/** Puts an endpoint on an object's list; one that is on it already leaves the object as it is. */
export async function withEndpoint<Document extends NamesEndpoints>(
  lists: EndpointLists<Document>,
  id: string,
  endpointId: string,
  options: CallOptions | undefined,
): Promise<Stored<Document>> {
  const current = await lists.objects.open(id, options);
  const endpoints = current.HostComputeEndpoints ?? [];
  if (endpoints.some((one) => isSame(one, endpointId))) return current;
  return replace(lists, current, [...endpoints, endpointId], options);
}

/** Takes an endpoint off an object's list; one that is not on it leaves the object as it is. */
export async function withoutEndpoint<Document extends NamesEndpoints>(
  lists: EndpointLists<Document>,
  id: string,
  endpointId: string,
  options: CallOptions | undefined,
): Promise<Stored<Document>> {
  const current = await lists.objects.open(id, options);
  const endpoints = current.HostComputeEndpoints ?? [];
  const others = endpoints.filter((one) => !isSame(one, endpointId));
  return others.length === endpoints.length ? current : replace(lists, current, others, options);
}

/** A failure brings the old object back. */
async function replace<Document extends NamesEndpoints>(
  { objects, fields }: EndpointLists<Document>,
  current: Stored<Document>,
  endpoints: string[],
  options: CallOptions | undefined,
): Promise<Stored<Document>> {
  const document = Object.fromEntries(
    fields.filter((field) => current[field] !== undefined).map((field) => [field, current[field]]),
  ) as unknown as Document;
  await objects.delete(current.ID, options);
  try {
    return await objects.create({ ...document, HostComputeEndpoints: endpoints }, options);
  } catch (error) {
    // The error that is told is the first: without a signal, since the caller's may be why.
    await objects.create(document).catch(() => {});
    throw error;
  }
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
