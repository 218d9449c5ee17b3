import Files
import TestSupport
import Testing
import Tokenizer
import Core

@testable import Generations

@Suite("Generations")
struct GenerationsTests {
    let folder = TemporaryDirectory()
    private let frozen =
        SharedData.packageRoot + "/Tests/TokenizerFixtures/Fixtures/scientific-frozen-tokenizer.safetensors"

    private func upload(_ state: StateDirectory, _ name: String) throws {
        try ModelDirectory.write(try ModelDirectory.importWeights(frozen), to: state.upload(name))
    }

    private func publish(_ registry: GenerationRegistry, _ name: String) throws -> GenerationRecord {
        try registry.publish(upload: name, now: 1) { _ in }.record
    }

    @Test func `a state directory has one owner, and is free again when the owner goes`() throws {
        try {
            let state = try StateDirectory(path: folder["state"])
            #expect(throws: GenerationsError.self) { try StateDirectory(path: folder["state"]) }
            withExtendedLifetime(state) {}
        }()
        _ = try StateDirectory(path: folder["state"])
    }

    @Test(arguments: [true, false])
    func `a lost registry is not replaced by a new one over the generations it knew`(isEmptied: Bool) throws {
        let path = folder["state"]
        try {
            let state = try StateDirectory(path: path)
            let registry = try GenerationRegistry(state: state)
            try upload(state, "m")
            _ = try publish(registry, "m")
            try registry.close()
        }()
        try FileSystem.removeTree(path + "/letterd.sqlite")
        if isEmptied { _ = try OpenFile(path + "/letterd.sqlite", .create) }
        try {
            let state = try StateDirectory(path: path)
            let error = #expect(throws: GenerationsError.self) { try GenerationRegistry(state: state) }
            #expect(error?.code == "generations.registry_lost")
            #expect(FileSystem.exists(state.generation(1) + "/manifest.json"))
            // What the remedy says brings it back.
            try FileSystem.removeTree(state.registry)
            try FileSystem.replace(state.registry, with: try FileSystem.read(state.registryBackup, limit: 1 << 24))
            #expect(try GenerationRegistry(state: state).generations().map(\.number) == [1])
        }()
    }

    @Test func `a published model is a generation under construction, and its upload is gone`() throws {
        let state = try StateDirectory(path: folder["state"])
        let registry = try GenerationRegistry(state: state)
        try upload(state, "m")
        let record = try publish(registry, "m")
        #expect(record.number == 1)
        #expect(record.stage == .building)
        #expect(!FileSystem.exists(state.upload("m")))
        #expect(try registry.model(1).levels == 4)
        #expect(try registry.generations() == [record])
    }

    @Test func `an incomplete or damaged upload makes no generation`() throws {
        let state = try StateDirectory(path: folder["state"])
        let registry = try GenerationRegistry(state: state)
        #expect(throws: GenerationsError.self) { try publish(registry, "nothing") }
        try upload(state, "m")
        let weights = state.upload("m") + "/" + ModelDirectory.weightsName
        var bytes = try FileSystem.read(weights, limit: 1 << 30)
        bytes[bytes.count - 1] ^= 1
        try FileSystem.replace(weights, with: bytes)
        #expect(throws: (any Error).self) { try publish(registry, "m") }
        #expect(try registry.generations().isEmpty)
        #expect(try FileSystem.list(state.path + "/generations").isEmpty)
    }

    @Test func `one generation is active: promoting one retires the other, and back`() throws {
        let state = try StateDirectory(path: folder["state"])
        let registry = try GenerationRegistry(state: state)
        for name in ["a", "b"] {
            try upload(state, name)
            _ = try publish(registry, name)
        }
        #expect(throws: GenerationsError.self) { try registry.promote(1, now: 2) }
        for number in [1, 2] { try registry.markCandidate(number) }
        try registry.promote(1, now: 2)
        #expect(try registry.generations().map(\.stage) == [.active, .candidate])
        try registry.promote(2, now: 3)
        #expect(try registry.generations().map(\.stage) == [.retired, .active])
        try registry.promote(1, now: 4)
        #expect(try registry.generations().map(\.stage) == [.active, .retired])
        #expect(try registry.generations().map(\.promoted) == [4, 3])
        #expect(throws: GenerationsError.self) { try registry.promote(3, now: 5) }
        // Only a generation that never answered can fail: the others are what one goes back to.
        try upload(state, "c")
        _ = try publish(registry, "c")
        for number in 1...3 { try registry.markFailed(number, detail: "broken", now: 6) }
        #expect(try registry.generations().map(\.stage) == [.active, .retired, .failed])
        #expect(throws: GenerationsError.self) { try registry.promote(3, now: 7) }
        try registry.promote(2, now: 8)
    }

    @Test func `a folder without a row is the rest of a publication that never happened`() throws {
        let state = try StateDirectory(path: folder["state"])
        try {
            let registry = try GenerationRegistry(state: state)
            try upload(state, "m")
            _ = try publish(registry, "m")
            try registry.close()
        }()
        try FileSystem.makeDirectory(state.generation(2))
        let registry = try GenerationRegistry(state: state)
        #expect(FileSystem.exists(state.generation(1)))
        #expect(!FileSystem.exists(state.generation(2)))
        try upload(state, "m")
        #expect(try publish(registry, "m").number == 2)
    }
}
