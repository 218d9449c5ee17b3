import ControlAPI
import NIOCore
import Vocabulary

/// Tells a new connection that there is no room for it, without reading what it sends, and closes it.
final class NoRoomHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        let failure = ControlFailure(
            "control.too_many_connections", .temporary, "The daemon has as many connections as it takes.",
            remedy: "Try again in a moment, and keep fewer connections open.")
        let body = Response.error(failure).body
        var buffer = ByteBuffer()
        buffer.writeString(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: \(body.count)\r\n"
                + "connection: close\r\n\r\n")
        buffer.writeBytes(body)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        context.close(promise: nil)
    }
}
