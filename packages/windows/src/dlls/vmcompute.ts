import type { Dll } from '../procedure.ts';

/**
 * The Host Compute Service as it was before `computecore.dll`, the first network service, and container layers. Calls
 * on systems may answer HCS_E_OPERATION_PENDING (0xC0370103): a notification then tells the end.
 */
export const vmcompute = {
  file: 'vmcompute.dll',
  build: 14393,
  source: "hcsshim's internal/vmcompute, internal/hns and internal/wclayer",
  procedures: {
    // Systems
    HcsEnumerateComputeSystems: {
      returns: 'HRESULT',
      parameters: { query: 'PCWSTR?', computeSystems: 'out CoTaskMemString', result: 'out CoTaskMemString' },
      purpose: 'List systems',
    },
    HcsCreateComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: {
        id: 'PCWSTR',
        configuration: 'PCWSTR',
        identity: 'HANDLE?',
        computeSystem: 'out HCS_SYSTEM',
        result: 'out CoTaskMemString',
      },
      purpose: 'Create a system from its document',
    },
    HcsOpenComputeSystem: {
      returns: 'HRESULT',
      parameters: { id: 'PCWSTR', computeSystem: 'out HCS_SYSTEM', result: 'out CoTaskMemString' },
      purpose: 'Open a system that exists',
    },
    HcsCloseComputeSystem: {
      returns: 'HRESULT',
      parameters: { computeSystem: 'HCS_SYSTEM' },
      purpose: 'Close a handle to a system',
    },
    HcsStartComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'Start a system',
    },
    HcsShutdownComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'Ask a system to end',
    },
    HcsTerminateComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'End a system',
    },
    HcsPauseComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'Pause a system',
    },
    HcsResumeComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'Let a paused system go on',
    },
    HcsSaveComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'Save the state of a system',
    },
    HcsGetComputeSystemProperties: {
      returns: 'HRESULT or pending',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        propertyQuery: 'PCWSTR?',
        properties: 'out CoTaskMemString',
        result: 'out CoTaskMemString',
      },
      purpose: 'Properties and statistics of a system',
    },
    HcsModifyComputeSystem: {
      returns: 'HRESULT or pending',
      parameters: { computeSystem: 'HCS_SYSTEM', configuration: 'PCWSTR', result: 'out CoTaskMemString' },
      purpose: 'Change a system: disks, shares, memory',
    },
    HcsRegisterComputeSystemCallback: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        callback: 'CALLBACK',
        context: 'CONTEXT?',
        callbackHandle: 'out HCS_CALLBACK',
      },
      purpose: 'Have the notifications of a system told',
    },
    HcsUnregisterComputeSystemCallback: {
      returns: 'HRESULT',
      parameters: { callbackHandle: 'HCS_CALLBACK' },
      purpose: 'End that',
    },
    // Processes
    HcsCreateProcess: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        processParameters: 'PCWSTR',
        processInformation: 'out HCS_PROCESS_INFORMATION',
        process: 'out HCS_PROCESS',
        result: 'out CoTaskMemString',
      },
      purpose: 'Start a process in a system',
    },
    HcsOpenProcess: {
      returns: 'HRESULT',
      parameters: {
        computeSystem: 'HCS_SYSTEM',
        processId: 'DWORD',
        process: 'out HCS_PROCESS',
        result: 'out CoTaskMemString',
      },
      purpose: 'Open a process of a system',
    },
    HcsCloseProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS' },
      purpose: 'Close a handle to a process',
    },
    HcsTerminateProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', result: 'out CoTaskMemString' },
      purpose: 'End a process',
    },
    HcsSignalProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', options: 'PCWSTR?', result: 'out CoTaskMemString' },
      purpose: 'Signal a process',
    },
    HcsGetProcessInfo: {
      returns: 'HRESULT',
      parameters: {
        process: 'HCS_PROCESS',
        processInformation: 'out HCS_PROCESS_INFORMATION',
        result: 'out CoTaskMemString',
      },
      purpose: 'The id and pipes of a process',
    },
    HcsGetProcessProperties: {
      returns: 'HRESULT',
      parameters: {
        process: 'HCS_PROCESS',
        processProperties: 'out CoTaskMemString',
        result: 'out CoTaskMemString',
      },
      purpose: 'The state and exit code of a process',
    },
    HcsModifyProcess: {
      returns: 'HRESULT',
      parameters: { process: 'HCS_PROCESS', settings: 'PCWSTR', result: 'out CoTaskMemString' },
      purpose: 'Resize the console of a process, close its pipes',
    },
    HcsRegisterProcessCallback: {
      returns: 'HRESULT',
      parameters: {
        process: 'HCS_PROCESS',
        callback: 'CALLBACK',
        context: 'CONTEXT?',
        callbackHandle: 'out HCS_CALLBACK',
      },
      purpose: 'Have the notifications of a process told',
    },
    HcsUnregisterProcessCallback: {
      returns: 'HRESULT',
      parameters: { callbackHandle: 'HCS_CALLBACK' },
      purpose: 'End that',
    },
    // The service
    HcsGetServiceProperties: {
      returns: 'HRESULT',
      parameters: {
        propertyQuery: 'PCWSTR?',
        properties: 'out CoTaskMemString',
        result: 'out CoTaskMemString',
      },
      purpose: 'Properties of the host: processors, memory, CPU groups',
    },
    HcsModifyServiceSettings: {
      returns: 'HRESULT',
      parameters: { settings: 'PCWSTR', result: 'out CoTaskMemString' },
      purpose: 'Change settings of the host: CPU groups, credential guard',
    },
    // Networks, first version
    HNSCall: {
      returns: 'HRESULT',
      parameters: { method: 'PCWSTR', path: 'PCWSTR', object: 'PCWSTR', response: 'out CoTaskMemString' },
      purpose: 'One REST-like request to the Host Network Service',
    },
    // Container layers
    ActivateLayer: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR' },
      purpose: 'Mount a layer',
    },
    CopyLayer: {
      returns: 'HRESULT',
      parameters: {
        info: 'memory DRIVER_INFO',
        sourceId: 'PCWSTR',
        destinationId: 'PCWSTR',
        descriptors: 'memory WC_LAYER_DESCRIPTOR',
        count: 'SIZE_T',
      },
      purpose: 'Copy a layer',
    },
    CreateLayer: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR', parent: 'PCWSTR' },
      purpose: 'Create an empty read-only layer',
    },
    CreateSandboxLayer: {
      returns: 'HRESULT',
      parameters: {
        info: 'memory DRIVER_INFO',
        id: 'PCWSTR',
        parent: 'ADDRESS?',
        descriptors: 'memory WC_LAYER_DESCRIPTOR',
        count: 'SIZE_T',
      },
      purpose: 'Create a writable layer over others',
    },
    ExpandSandboxSize: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR', size: 'UINT64' },
      purpose: 'Make a writable layer larger',
    },
    DeactivateLayer: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR' },
      purpose: 'Unmount a layer',
    },
    DestroyLayer: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR' },
      purpose: 'Remove a layer',
    },
    ExportLayer: {
      returns: 'HRESULT',
      parameters: {
        info: 'memory DRIVER_INFO',
        id: 'PCWSTR',
        path: 'PCWSTR',
        descriptors: 'memory WC_LAYER_DESCRIPTOR',
        count: 'SIZE_T',
      },
      purpose: 'Write a layer to a folder',
    },
    GetLayerMountPath: {
      returns: 'HRESULT',
      parameters: {
        info: 'memory DRIVER_INFO',
        id: 'PCWSTR',
        length: 'inout SIZE_T',
        buffer: 'memory WCHAR',
      },
      purpose: 'Where a layer is mounted: first its length, then the text',
    },
    GetBaseImages: {
      returns: 'HRESULT',
      parameters: { images: 'out CoTaskMemString' },
      purpose: 'Images that all of the host share',
    },
    ImportLayer: {
      returns: 'HRESULT',
      parameters: {
        info: 'memory DRIVER_INFO',
        id: 'PCWSTR',
        path: 'PCWSTR',
        descriptors: 'memory WC_LAYER_DESCRIPTOR',
        count: 'SIZE_T',
      },
      purpose: 'Make a layer of a folder',
    },
    LayerExists: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR', exists: 'out BOOL' },
      purpose: 'Whether a layer is known',
    },
    NameToGuid: {
      returns: 'HRESULT',
      parameters: { name: 'PCWSTR', guid: 'out GUID' },
      purpose: 'The GUID of a layer from its name',
    },
    PrepareLayer: {
      returns: 'HRESULT',
      parameters: {
        info: 'memory DRIVER_INFO',
        id: 'PCWSTR',
        descriptors: 'memory WC_LAYER_DESCRIPTOR',
        count: 'SIZE_T',
      },
      purpose: 'Put the file system filter over a writable layer',
    },
    UnprepareLayer: {
      returns: 'HRESULT',
      parameters: { info: 'memory DRIVER_INFO', id: 'PCWSTR' },
      purpose: 'Take the filter off',
    },
    ProcessBaseImage: {
      returns: 'HRESULT',
      parameters: { path: 'PCWSTR' },
      purpose: 'Finish a base layer whose files are there',
    },
    ProcessUtilityImage: {
      returns: 'HRESULT',
      parameters: { path: 'PCWSTR' },
      purpose: "Finish a utility VM's image whose files are there",
    },
    GrantVmAccess: {
      returns: 'HRESULT',
      parameters: { vmId: 'PCWSTR', filePath: 'PCWSTR' },
      purpose: 'Let a VM use a file',
    },
  },
} as const satisfies Dll;
