import type { SystemProperties } from '@hcsshim/schema';
import type { ContainerProperties, PropertyQuery as PropertyQueryV1 } from '@hcsshim/schema/hcs-v1';

/** Whether a query of schema 1 asks for what this engine can tell besides the base properties. */
export function asksForStatistics(query: PropertyQueryV1 | undefined): boolean {
  return query?.PropertyTypes?.includes('Statistics') ?? false;
}

/** Properties as schema 1 names them. */
export function propertiesV1(properties: SystemProperties): ContainerProperties {
  const { Id, SystemType, Owner, RuntimeId, State, Stopped, ExitType, Statistics } = properties;
  return {
    Id,
    SystemType,
    Owner,
    RuntimeId,
    State,
    AreUpdatesPending: false,
    ...(Stopped === undefined ? {} : { Stopped }),
    ...(ExitType === undefined ? {} : { ExitType }),
    ...(Statistics === undefined ? {} : { Statistics }),
  };
}
