import FoundationEssentials
import Files
import Core

/// `manifest.json` of a model directory. Schema/model.md describes every key.
package struct ModelManifest: Sendable, Codable, Equatable {
    /// `letter-model/1`.
    package var format: String
    /// Width D of the embeddings.
    package var inputWidth: Int
    /// Widths of the layers between input and latent embedding.
    package var hiddenWidths: [Int]
    /// Width d of the latent embedding.
    package var latentWidth: Int
    /// Number of levels L.
    package var levels: Int
    /// Number of codes N of each level.
    package var codesPerLevel: Int
    /// Whether the decoder was kept.
    package var hasDecoder: Bool
    /// How embeddings are scaled before the encoder.
    package var inputScaling: InputScaling
    /// Where the model comes from.
    package var provenance: ModelProvenance
    /// Name, size and SHA-256 of the file of weights.
    package var weights: Weights

    /// A description of the file of weights.
    package struct Weights: Sendable, Codable, Equatable {
        /// Its name in the directory.
        package var file: String
        /// Its size in bytes.
        package var bytes: Int
        /// SHA-256 in lower-case hexadecimal.
        package var sha256: String
    }

    /// The only format that this program writes and reads.
    package static let currentFormat = "letter-model/1"

    enum CodingKeys: String, CodingKey {
        case format
        case inputWidth = "input_width"
        case hiddenWidths = "hidden_widths"
        case latentWidth = "latent_width"
        case levels
        case codesPerLevel = "codes_per_level"
        case hasDecoder = "has_decoder"
        case inputScaling = "input_scaling"
        case provenance, weights
    }

    /// The manifest of a model whose file of weights has these bytes.
    init(_ model: TokenizerModel, weights: [UInt8]) {
        format = Self.currentFormat
        inputWidth = model.inputWidth
        hiddenWidths = model.hiddenWidths
        latentWidth = model.latentWidth
        levels = model.levels
        codesPerLevel = model.codesPerLevel
        hasDecoder = !model.decoder.isEmpty
        inputScaling = model.scaling
        provenance = model.provenance
        self.weights = Weights(
            file: ModelDirectory.weightsName, bytes: weights.count, sha256: SHA256.hex(weights))
    }

    /// The bytes of manifest.json: indented, with sorted keys and a final newline.
    package func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(self)) + [0x0a]
    }

    /// Reads the bytes of manifest.json; `path` is for messages.
    ///
    /// - Throws: `TokenizerError` (`tokenizer.unknown_format`, `tokenizer.bad_manifest`).
    init(json: [UInt8], path: String) throws {
        struct Format: Decodable { let format: String }
        do {
            let decoder = JSONDecoder()
            let format = try decoder.decode(Format.self, from: Data(json)).format
            guard format == Self.currentFormat else {
                throw TokenizerError(
                    .unknownFormat, "\(path) has the format '\(format.prefix(40))'",
                    remedy: "This program reads \(Self.currentFormat); use the release that wrote the model.")
            }
            self = try decoder.decode(Self.self, from: Data(json))
        } catch let failure as TokenizerError {
            throw failure
        } catch {
            throw TokenizerError(
                .badManifest, "\(path) is not the manifest of a model",
                remedy: "Export or train the model again.", cause: error)
        }
    }
}
