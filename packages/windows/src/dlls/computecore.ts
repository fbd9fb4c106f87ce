import type { Dll } from '../procedure.ts';

/** Windows 10 2004. */
const v2004 = 19041;
/** Windows Server 2022; Microsoft's documentation says 2104, which was released as this. */
const v2104 = 20348;
/** In no page of Microsoft's; the first build that upstream's newer tree supports it on is not known to be lower. */
const undocumented = 20348;

/**
 * The Host Compute Service. Calls with an operation begin something and return; the operation's completion
 * tells how it ended (`operation.ts`).
 */
export const computecore = {
  file: 'computecore.dll',
  build: 17763,
  source:
    'Microsoft\'s "HCS API reference"; for what that lacks (namespaces, live migration, resources, notifications) hcsshim\'s internal/computecore',
  procedures: {
    // Operations
    HcsCreateOperation: {
      returns: 'HCS_OPERATION',
      parameters: { context: 'CONTEXT?', callback: 'CALLBACK?' },
      immediate: true,
      purpose: 'Make an operation, to begin one call with',
    },
    HcsCreateOperationWithNotifications: {
      returns: 'HCS_OPERATION',
      parameters: { eventTypes: 'DWORD', context: 'CONTEXT?', callback: 'CALLBACK?' },
      build: undocumented,
      immediate: true,
      purpose: 'Make an operation that also tells of events on its way',
    },
    HcsCloseOperation: {
      returns: 'void',
      parameters: { operation: 'HCS_OPERATION' },
      immediate: 'optional',
      purpose: 'Close an operation',
    },
    HcsGetOperationContext: {
      returns: 'ADDRESS',
      parameters: { operation: 'HCS_OPERATION' },
      immediate: true,
      purpose: 'The context given to an operation',
    },
    HcsSetOperationContext: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION', context: 'CONTEXT?' },
      immediate: true,
      purpose: 'Change the context of an operation',
    },
    HcsGetComputeSystemFromOperation: {
      returns: 'HCS_SYSTEM?',
      parameters: { operation: 'HCS_OPERATION' },
      immediate: true,
      purpose: 'The system an operation is about',
    },
    HcsGetProcessFromOperation: {
      returns: 'HCS_PROCESS?',
      parameters: { operation: 'HCS_OPERATION' },
      immediate: true,
      purpose: 'The process an operation is about',
    },
    HcsGetOperationType: {
      returns: 'INT',
      parameters: { operation: 'HCS_OPERATION' },
      immediate: true,
      purpose: 'What an operation does',
    },
    HcsGetOperationId: {
      returns: 'UINT64',
      parameters: { operation: 'HCS_OPERATION' },
      immediate: true,
      purpose: 'The id of an operation in events',
    },
    HcsGetOperationResult: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION', resultDocument: 'out LocalString' },
      immediate: true,
      purpose: 'How an operation ended',
    },
    HcsGetOperationResultAndProcessInfo: {
      returns: 'HRESULT',
      parameters: {
        operation: 'HCS_OPERATION',
        processInformation: 'out HCS_PROCESS_INFORMATION',
        resultDocument: 'out LocalString',
      },
      immediate: true,
      purpose: 'How the start of a process ended, its id and pipes',
    },
    HcsWaitForOperationResult: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION', timeoutMs: 'DWORD', resultDocument: 'out LocalString' },
      purpose: 'Wait for an operation, blocking a thread of the pool',
    },
    HcsWaitForOperationResultAndProcessInfo: {
      returns: 'HRESULT',
      parameters: {
        operation: 'HCS_OPERATION',
        timeoutMs: 'DWORD',
        processInformation: 'out HCS_PROCESS_INFORMATION',
        resultDocument: 'out LocalString',
      },
      purpose: 'Wait for the start of a process, blocking a thread of the pool',
    },
    HcsSetOperationCallback: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION', context: 'CONTEXT?', callback: 'CALLBACK' },
      immediate: true,
      purpose: 'Have the end of an operation told',
    },
    HcsCancelOperation: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION' },
      purpose: 'Give an operation up',
    },
    HcsGetOperationProperties: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION', options: 'PCWSTR?', resultDocument: 'out LocalString' },
      build: undocumented,
      purpose: 'How far an operation is',
    },
    HcsAddResourceToOperation: {
      returns: 'HRESULT',
      parameters: { operation: 'HCS_OPERATION', type: 'DWORD', uri: 'PCWSTR', handle: 'HANDLE' },
      build: undocumented,
      purpose: 'Give a file, job or socket along with a call',
    },

    // Systems
    HcsEnumerateComputeSystems: {
      returns: 'HRESULT',
      parameters: { query: 'PCWSTR?', operation: 'HCS_OPERATION' },
      purpose: 'List systems',
    },
    HcsEnumerateComputeSystemsInNamespace: {
      returns: 'HRESULT',
      parameters: { idNamespace: 'PCWSTR', query: 'PCWSTR?', operation: 'HCS_OPERATION' },
      build: undocumented,
      purpose: 'List the systems of a namespace',
    },
    HcsCreateComputeSystem: {
      returns: 'HRESULT',
      parameters: {
        id: 'PCWSTR',
        configuration: 'PCWSTR',
        operation: 'HCS_OPERATION',
        securityDescriptor: 'memory SECURITY_DESCRIPTOR',
        computeSystem: 'out HCS_SYSTEM',
      },
      purpose: 'Create a system from its document',
    },
    HcsCreateComputeSystemInNamespace: {
      returns: 'HRESULT',
      parameters: {
        idNamespace: 'PCWSTR',
        id: 'PCWSTR',
        configuration: 'PCWSTR',
        operation: 'HCS_OPERATION',
        options: 'memory HCS_CREATE_OPTIONS',
        computeSystem: 'out HCS_SYSTEM',
      },
      build: undocumented,
      purpose: 'Create a system in a namespace',
    },
    HcsOpenComputeSystem: {
      returns: 'HRESULT',
      parameters: { id: 'PCWSTR', requestedAccess: 'DWORD', computeSystem: 'out HCS_SYSTEM' },
      purpose: 'Open a system that exists',
    },
    HcsOpenComputeSystemInNamespace: {
      returns: 'HRESULT',
      parameters: {
        idNamespace: 'PCWSTR',
        id: 'PCWSTR',
        requestedAccess: 'DWORD',
        computeSystem: 'out HCS_SYSTEM',
      },
      build: undocumented,
      purpose: 'Open a system of a namespace',
    },
    HcsCloseComputeSystem: {
      returns: 'void',
      parameters: { computeSystem: 'HCS_SYSTEM' },
      purpose: 'Close a handle to a system',
    },
    HcsStartComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Start a system',
    },
    HcsShutDownComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Ask a system to end',
    },
    HcsTerminateComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'End a system',
    },
    HcsCrashComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Crash a guest, for its dump',
    },
    HcsPauseComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Pause a system',
    },
    HcsResumeComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Let a paused system go on',
    },
    HcsSaveComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Save the state of a system',
    },
    HcsGetComputeSystemProperties: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', propertyQuery: 'PCWSTR?' },
      purpose: 'Properties and statistics of a system',
    },
    HcsModifyComputeSystem: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        operation: 'HCS_OPERATION',
        configuration: 'PCWSTR',
        identity: 'HANDLE?',
      },
      purpose: 'Change a system: disks, shares, memory',
    },
    HcsWaitForComputeSystemExit: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', timeoutMs: 'DWORD', result: 'out LocalString' },
      build: v2104,
      purpose: 'Wait for a system to end, blocking a thread of the pool',
    },
    HcsSetComputeSystemCallback: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        callbackOptions: 'DWORD',
        context: 'CONTEXT?',
        callback: 'CALLBACK',
      },
      purpose: 'Have the events of a system told',
    },

    // Live migration
    HcsInitializeLiveMigrationOnSource: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      build: undocumented,
      purpose: 'Prepare a system for moving to another host',
    },
    HcsStartLiveMigrationOnSource: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      build: undocumented,
      purpose: 'Begin the move',
    },
    HcsStartLiveMigrationTransfer: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      build: undocumented,
      purpose: 'Move the memory',
    },
    HcsFinalizeLiveMigration: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      build: undocumented,
      purpose: 'End the move on either side',
    },
    HcsCancelLiveMigration: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      build: undocumented,
      purpose: 'Give the move up',
    },

    // Processes
    HcsCreateProcess: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        processParameters: 'PCWSTR',
        operation: 'HCS_OPERATION',
        securityDescriptor: 'memory SECURITY_DESCRIPTOR',
        process: 'out HCS_PROCESS',
      },
      purpose: 'Start a process in a system',
    },
    HcsOpenProcess: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        processId: 'DWORD',
        requestedAccess: 'DWORD',
        process: 'out HCS_PROCESS',
      },
      purpose: 'Open a process of a system',
    },
    HcsCloseProcess: {
      returns: 'void',
      parameters: { process: 'HCS_PROCESS' },
      purpose: 'Close a handle to a process',
    },
    HcsTerminateProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'End a process',
    },
    HcsSignalProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', operation: 'HCS_OPERATION', options: 'PCWSTR?' },
      purpose: 'Signal a process',
    },
    HcsGetProcessInfo: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', operation: 'HCS_OPERATION' },
      purpose: 'The id and pipes of a process',
    },
    HcsGetProcessProperties: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', operation: 'HCS_OPERATION', propertyQuery: 'PCWSTR?' },
      purpose: 'The state of a process',
    },
    HcsModifyProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', operation: 'HCS_OPERATION', settings: 'PCWSTR' },
      purpose: 'Resize the console of a process, close its pipes',
    },
    HcsSetProcessCallback: {
      returns: 'HRESULT',
      parameters: {
        process: 'HCS_PROCESS',
        callbackOptions: 'DWORD',
        context: 'CONTEXT?',
        callback: 'CALLBACK',
      },
      purpose: 'Have the events of a process told',
    },
    HcsWaitForProcessExit: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', timeoutMs: 'DWORD', result: 'out LocalString' },
      build: v2104,
      purpose: 'Wait for a process to end, blocking a thread of the pool',
    },

    // The service, and files of VMs
    HcsGetServiceProperties: {
      returns: 'HRESULT',
      parameters: { propertyQuery: 'PCWSTR?', result: 'out LocalString' },
      purpose: 'Properties of the host: processors, memory, CPU groups',
    },
    HcsModifyServiceSettings: {
      returns: 'HRESULT',
      parameters: { settings: 'PCWSTR', result: 'out LocalString' },
      purpose: 'Change settings of the host: CPU groups, credential guard',
    },
    HcsSubmitWerReport: {
      returns: 'HRESULT',
      parameters: { settings: 'PCWSTR' },
      purpose: 'Hand a crash report to Windows',
    },
    HcsCreateEmptyGuestStateFile: {
      returns: 'HRESULT',
      parameters: { guestStateFilePath: 'PCWSTR' },
      purpose: "Create a file for a VM's guest state",
    },
    HcsCreateEmptyRuntimeStateFile: {
      returns: 'HRESULT',
      parameters: { runtimeStateFilePath: 'PCWSTR' },
      purpose: "Create a file for a VM's runtime state",
    },
    HcsGetProcessorCompatibilityFromSavedState: {
      returns: 'HRESULT',
      parameters: { runtimeFileName: 'PCWSTR', processorFeatures: 'out LocalString' },
      build: v2104,
      purpose: 'The processor features a saved state needs',
    },
    HcsGrantVmAccess: {
      returns: 'HRESULT',
      parameters: { vmId: 'PCWSTR', filePath: 'PCWSTR' },
      purpose: 'Let a VM use a file',
    },
    HcsRevokeVmAccess: {
      returns: 'HRESULT',
      parameters: { vmId: 'PCWSTR', filePath: 'PCWSTR' },
      purpose: 'Take that back',
    },
    HcsGrantVmGroupAccess: {
      returns: 'HRESULT',
      parameters: { filePath: 'PCWSTR' },
      build: v2004,
      purpose: 'Let every VM use a file',
    },
    HcsRevokeVmGroupAccess: {
      returns: 'HRESULT',
      parameters: { filePath: 'PCWSTR' },
      build: v2004,
      purpose: 'Take that back',
    },
  },
} as const satisfies Dll;
