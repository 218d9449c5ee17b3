package import Files
import Foundation
package import Numerics
import Testing
package import Tokenizer

/// Models and data that tests read.
package enum Fixtures {
    /// The path of a fixture in this target.
    package static func path(_ name: String) throws -> String {
        try #require(Bundle.module.url(forResource: name, withExtension: nil, subdirectory: "Fixtures")).path
    }

    /// The path of the Scientific embeddings, which are not part of the project; nil if they are not on this machine.
    package static let scientific: String? = {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let shared = ProcessInfo.processInfo.environment["LETTER_SHARED"] ?? "\(package)/../shared"
        let path = "\(shared)/data/Scientific/semantic.f32.npy"
        return FileSystem.exists(path) ? path : nil
    }()

    /// A trained tokenizer without decoder: 384 → 32, four levels of 256 codes.
    package static func frozen() throws -> TokenizerModel {
        try ModelDirectory.importWeights(path("scientific-frozen-tokenizer.safetensors"))
    }

    /// A tensor of a file as a matrix.
    package static func matrix(_ file: Safetensors, _ name: String) throws -> Matrix {
        let shape = try #require(file.entries[name]?.shape)
        return Matrix(rows: shape.count == 2 ? shape[0] : 1, columns: shape.last ?? 1, try file.floats(name))
    }
}
